"""A rehearsal: the newest snapshot is restored into a scratch folder, opened, read, counted, and wiped."""

import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance import clock
from appliance.backup import putting
from appliance.backup.manifest import BlobPart, Counts
from appliance.backup.putting import Derive
from appliance.backup.repository import Repository
from appliance.errors import AuditBrokenError, BackupDamagedError, DiskFullError
from appliance.jobs.worker import Report
from appliance.storage.blobs import BlobStore
from appliance.storage.database import Database

SAMPLE: Final = 25
"""Stored files that are opened, of all; the whole repository is read by `verify`."""
_ROOM_BYTES: Final = 256 << 20


@dataclass(frozen=True)
class Rehearsed:
    """What was seen in the restored box. `at` in seconds since the epoch: when the backup was made."""

    snapshot: str
    at: float
    counts: Counts
    audit: int
    blobs: int
    opened: int
    models: int
    """Whose files are in the backup."""
    seconds: float


def rehearse(repository: Repository, derive: Derive, scratch: Path, report: Report) -> Rehearsed:
    """Restore the newest snapshot into `scratch`, which is emptied before and after.

    Raises:
        NoBackupError, BackupDamagedError, NewerStoreError: the snapshot can't be restored.
        StoreDamagedError, AuditBrokenError, VaultDamagedError, EnvelopeError: what was restored can't be used.
        DiskFullError: no room for the rehearsal on the box.
    """
    began = clock.monotonic()
    snapshot = repository.newest()
    putting.demand_known(snapshot)
    _wipe(scratch)
    scratch.mkdir(mode=0o700, parents=True)
    try:
        sample = random.sample(snapshot.blobs, min(SAMPLE, len(snapshot.blobs)))
        wanted = snapshot.database.size + sum(blob.size for blob in sample)
        if shutil.disk_usage(scratch).free < wanted + _ROOM_BYTES:
            raise DiskFullError(f"{wanted} bytes for a rehearsal")
        putting.put_database(repository, snapshot, scratch / "hako.db", report)
        putting.put_blobs(repository, sample, scratch / "blobs", report, len(sample))
        putting.put_files(snapshot, scratch)
        report("checking", 0, 0)
        database = Database(scratch / "hako.db", derive("database"), snapshot.database.cipher)
        try:
            putting.demand_sound(snapshot, database)
            database.migrate()
            log = putting.audit_of(database, derive, scratch / "audit" / "checkpoints").verify()
            if not log.is_sound:
                raise AuditBrokenError(count=len(log.open))
            _open(BlobStore(scratch / "blobs", database, derive("blobs")), sample)
        finally:
            database.close()
    finally:
        _wipe(scratch)
    return Rehearsed(
        snapshot=snapshot.id,
        at=snapshot.at,
        counts=snapshot.counts,
        audit=log.entries,
        blobs=len(snapshot.blobs),
        opened=len(sample),
        models=sum(model.is_whole for model in snapshot.models),
        seconds=clock.monotonic() - began,
    )


def _open(store: BlobStore, sample: list[BlobPart]) -> None:
    """Read each file to its end, under the key that the restored database has for it."""
    for blob in sample:
        for _piece in store.open(blob.id):
            pass


def _wipe(scratch: Path) -> None:
    """What lay there was sealed, as it is in the box."""
    shutil.rmtree(scratch, ignore_errors=True)
    if scratch.exists():
        raise BackupDamagedError("the scratch folder can't be emptied", count=1)
