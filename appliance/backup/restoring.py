"""Restores a snapshot, while no box runs there: built beside the data folder, checked, put in its place in one step.

Until that step nothing of the place has changed; after it the whole box is there. What is replaced is kept beside it.
"""

import ctypes
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Final

import appliance
from appliance import clock, durable
from appliance.backup import marks, putting
from appliance.backup.manifest import Snapshot
from appliance.backup.putting import Derive
from appliance.backup.repository import Repository
from appliance.bundle.update import history
from appliance.bundle.update.state import RESTING, Places
from appliance.bundle.update.updates import mark_of
from appliance.config import Settings
from appliance.errors import (
    AlreadyRunningError,
    BackupTargetError,
    DiskFullError,
    KeysUnreachableError,
    OtherBoxError,
    ReleaseFloorError,
    UpdateTrialError,
)
from appliance.inference.catalog import Catalog
from appliance.jobs.worker import Report
from appliance.storage.audit import Audit
from appliance.storage.database import Database
from appliance.vault.client import KeysClient
from appliance.vault.keyring import Keyring

STAGING: Final = ".restoring"
"""Ends the name of the folder beside the target in which the box is built."""
_REPLACED: Final = ".replaced-"
_FRESH: Final = ".restoring"
"""Marks the box that is built, until it is in its place; what it replaces lies under the same name for a moment."""
_ROOM_BYTES: Final = 64 << 20
_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2


@dataclass(frozen=True)
class Restored:
    """What came back. `replaced`: where the box lies now that was there before."""

    snapshot: Snapshot
    publishers: int
    """Whose marks were kept from the box that was replaced."""
    replaced: Path | None


def demand_place(target: Path, box: str, *, over: bool) -> None:
    """See to it that a box may be restored to `target`; nothing is changed.

    Raises:
        BackupTargetError: there is something already, and nobody said that it may be replaced; or it is no box.
        OtherBoxError: it is another box: its marks are under keys that this backup doesn't have.
        AlreadyRunningError: a box runs there.
        UpdateTrialError: that box is between two releases.
    """
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise BackupTargetError("not a folder", name=target.name)
    if not target.exists() or not any(target.iterdir()):
        return
    settings = Settings(data_dir=target)
    try:
        KeysClient(settings.keys_socket).status()
    except KeysUnreachableError:
        pass
    else:
        raise AlreadyRunningError(name=str(target))
    if not over:
        raise BackupTargetError("not empty", name=target.name)
    if Places.of(target).read().phase not in RESTING:
        raise UpdateTrialError
    keyring = Keyring(settings.vault_file)
    if not keyring.exists():
        raise BackupTargetError("no box to replace", name=target.name)
    if keyring.identity() != box:
        raise OtherBoxError(name=target.name)


def restore(
    repository: Repository, derive: Derive, vault: bytes, target: Path, name: str | None, report: Report,
    *, over: bool = False,
) -> Restored:  # fmt: skip
    """Restore a snapshot, the newest when `name` is None, to `target`. `vault`: the file that its keys came from.

    Raises:
        HakoError: as `demand_place`, `Repository.snapshot`, and `putting`; `target` is as it was.
    """
    demand_place(target, repository.box, over=over)
    snapshot = repository.newest() if name is None else repository.snapshot(name)
    putting.demand_known(snapshot)
    replaces = target.exists() and any(target.iterdir())
    staging = target.with_name(target.name + STAGING)
    with durable.told_when_full():
        _clear(staging, target)
        target.parent.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(target.parent).free < snapshot.size + _ROOM_BYTES:
            raise DiskFullError(f"{snapshot.size} bytes to restore")
        staging.mkdir(mode=0o700)
        (staging / _FRESH).touch(0o600)
    try:
        publishers = _build(repository, snapshot, derive, vault, staging, target if replaces else None, report)
    except BaseException:
        _clear(staging, target)
        raise
    (target / _FRESH).unlink(missing_ok=True)  # of a restore that was cut off after its one step
    os.sync()
    replaced = _place(staging, target, replaces=replaces)
    (target / _FRESH).unlink(missing_ok=True)
    return Restored(snapshot, publishers, replaced)


def _build(
    repository: Repository, snapshot: Snapshot, derive: Derive, vault: bytes, staging: Path, present: Path | None,
    report: Report,
) -> int:  # fmt: skip
    settings = Settings(data_dir=staging)
    put_vault = (present / settings.vault_file.name).read_bytes() if present else vault
    putting.put_files(snapshot, staging)
    putting.put_database(repository, snapshot, settings.database, report)
    putting.put_blobs(repository, snapshot.blobs, settings.blobs_dir, report, len(snapshot.blobs))
    for model in snapshot.models:
        if model.is_whole:
            putting.put_model(repository, model, settings.models / model.id)
    if present:
        models = Settings(data_dir=present).models
        for name in Catalog(models).all():
            _share(models / name, settings.models / name)
        releases = Places.of(present).root
        if releases.is_relative_to(present):
            _share(releases, staging / releases.relative_to(present))
    report("checking", 0, 0)
    publishers = _settle(snapshot, derive, settings, present)
    durable.replace(settings.vault_file, put_vault)
    return publishers


def _is_chained(audit: Audit) -> bool:
    """Whether the entries are as they were written. If they aren't, the box says so later; it is not kept away.

    That later ones than the backup's are gone is no surprise here, but stays a finding until an operator accepts it.
    """
    return not any(found.kind == "entry" for found in audit.verify().open)


def _settle(snapshot: Snapshot, derive: Derive, settings: Settings, present: Path | None) -> int:
    """Check the database, and make of it that of a box which was restored: nobody is signed in, the marks are kept."""
    database = Database(settings.database, derive("database"), snapshot.database.cipher)
    try:
        putting.demand_sound(snapshot, database)
        database.migrate()
        known = Settings(data_dir=present).audit_checkpoints if present else None
        audit = putting.audit_of(database, derive, settings.audit_checkpoints, known)
        is_chained = _is_chained(audit)
        with database.write() as connection:
            connection.execute("delete from sessions")
            connection.execute("delete from jobs where kind in ('backup', 'bundle')")  # of the moment it was made
        publishers = 0
        if not present:
            history.of_the_machine(database, None)
        else:
            before = marks.readable(present / "hako.db", derive("database"), snapshot.database.cipher)
            try:
                history.of_the_machine(database, before)
                old = Settings(data_dir=present)
                publishers = marks.carry_over(settings.trust, database, old.trust, before, derive("trust"))
            finally:
                if before:
                    before.close()
        _demand_floor(database, present)
        audit.record(
            "operator", "box-restored", snapshot.id, entries=snapshot.counts.audit, chained=int(is_chained),
            made_at=snapshot.at, publishers=publishers,
        )  # fmt: skip
    finally:
        database.close()
    return publishers


def _demand_floor(database: Database, present: Path | None) -> None:
    """See to it that the release that is going to run here isn't one whose weaknesses the box has left behind.

    Raises ReleaseFloorError.
    """
    places = Places.of(present) if present else None
    running = places.release(places.current) if places else None
    counter, version = (running.counter, running.version) if running else (appliance.COUNTER, appliance.__version__)
    _highest, floor = mark_of(database)
    if counter < floor:
        raise ReleaseFloorError(version=version, counter=counter, floor=floor)


def _share(folder: Path, into: Path) -> None:
    """What the replaced box has beside its data, without a second copy where the disk allows that."""
    if into.exists() or not folder.is_dir():
        return
    into.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        shutil.copytree(folder, into, symlinks=True, copy_function=os.link)
    except (OSError, shutil.Error):
        shutil.rmtree(into, ignore_errors=True)
        with durable.told_when_full():
            shutil.copytree(folder, into, symlinks=True)


def _clear(staging: Path, target: Path) -> None:
    """What a restore that was cut off has left: the box that was built goes, the one that was replaced is kept."""
    vault = staging / Settings(data_dir=staging).vault_file.name
    if vault.exists() and not (staging / _FRESH).exists():
        staging.rename(_beside(target))
        durable.sync(target.parent)
        return
    vault.unlink(missing_ok=True)  # first: half removed it must not look like a box
    shutil.rmtree(staging, ignore_errors=True)


def _beside(target: Path) -> Path:
    """Where the replaced box is to lie; no other one does."""
    moment = f"{datetime.fromtimestamp(clock.now(), UTC):%Y%m%dT%H%M%SZ}"
    names = (f"{target.name}{_REPLACED}{moment}{f'-{number}' if number else ''}" for number in count())
    return next(place for name in names if not (place := target.with_name(name)).exists())


def _place(staging: Path, target: Path, *, replaces: bool) -> Path | None:
    """The one step. Returns where the replaced box lies now."""
    if not replaces:
        staging.rename(target)  # also onto an empty folder
        durable.sync(target.parent)
        return None
    beside = _beside(target)
    if _exchange(staging, target):
        durable.sync(target.parent)
        staging.rename(beside)
    else:  # a file system without it: for a moment neither is there, and both lie beside
        target.rename(beside)
        staging.rename(target)
    durable.sync(target.parent)
    return beside


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders change names in one step; False where the file system can't."""
    library = ctypes.CDLL(None, use_errno=True)
    try:
        call = library.renameat2
    except AttributeError:
        return False
    return bool(call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0)
