"""Puts a snapshot into an empty folder, each byte checked on its way: what rehearsing and restoring share."""

import base64
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from appliance import durable
from appliance.backup import making
from appliance.backup.manifest import CHUNK, MODEL_OBJECT, BlobPart, ModelPart, Snapshot
from appliance.backup.repository import Repository, write_out
from appliance.errors import BackupDamagedError, EnvelopeError, NewerStoreError, StoreDamagedError
from appliance.jobs.worker import Report
from appliance.storage import migrations
from appliance.storage.audit import Audit
from appliance.storage.checkpoints import Witness
from appliance.storage.database import Database
from appliance.vault.envelope import open_stream

Derive = Callable[[str], bytes]
"""The vault's key for a purpose."""


def demand_known(snapshot: Snapshot) -> None:
    """Raises NewerStoreError for a database that this release can't work with."""
    part, known = snapshot.database, len(migrations.STEPS)
    if part.schema_version > known and not 0 < part.reads_from <= known:
        raise NewerStoreError(f"schema {part.schema_version}, read from {part.reads_from}")


def put_database(repository: Repository, snapshot: Snapshot, path: Path, step: Report) -> None:
    """Write the database file, sealed as it was. Raises BackupDamagedError, DiskFullError."""
    part = snapshot.database

    def pieces() -> Iterator[bytes]:
        for number, name in enumerate(part.chunks):
            step("database", number * CHUNK, part.size)
            yield from repository.read(name, CHUNK)

    with durable.told_when_full(), _new(path) as target:
        write_out(pieces(), target)
        if target.tell() != part.size:
            raise BackupDamagedError(f"database of {target.tell()} instead of {part.size} bytes", count=1)


def put_blobs(repository: Repository, blobs: Iterable[BlobPart], folder: Path, step: Report, total: int) -> None:
    """Write stored files, sealed as they were. Raises BackupDamagedError, DiskFullError."""
    for number, blob in enumerate(blobs):
        step("files", number, total)
        place = folder / blob.id[:2]
        with durable.told_when_full():
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _new(place / blob.id) as target:
                write_out(repository.read(blob.object, blob.size), target)


def put_files(snapshot: Snapshot, folder: Path) -> None:
    """Write the small files. Raises DiskFullError."""
    for name, content in snapshot.files.items():
        path = folder / name
        with durable.told_when_full():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            durable.replace(path, base64.b64decode(content, validate=True))


def put_model(repository: Repository, model: ModelPart, folder: Path) -> None:
    """Write a model's files, then what makes it one. Raises BackupDamagedError, DiskFullError."""
    with durable.told_when_full():
        folder.mkdir(mode=0o700, parents=True)
        for name, file in model.files.items():
            running = hashlib.sha256()

            def pieces(objects: tuple[str, ...] = file.objects, running: "hashlib._Hash" = running) -> Iterator[bytes]:
                for each in objects:
                    for piece in open_stream(repository.files_key, _Pieces(repository.read(each, MODEL_OBJECT))):
                        running.update(piece)
                        yield piece

            try:
                with _new(folder / name) as target:
                    write_out(pieces(), target)
            except EnvelopeError as error:
                raise BackupDamagedError(f"model {model.id}: {error.detail}", count=1) from error
            if running.hexdigest() != file.sha256:
                raise BackupDamagedError(f"model {model.id}: {name} is another file", count=1)
        durable.replace(folder / "model.json", model.manifest.encode())


def demand_sound(snapshot: Snapshot, database: Database) -> None:
    """See to it that the database is whole, and what was backed up.

    Raises:
        StoreDamagedError: damaged, or not what the snapshot says of it.
        VaultDamagedError: the key doesn't fit.
    """
    with database.read() as connection:
        if (found := connection.execute("pragma quick_check").get) != "ok":
            raise StoreDamagedError(f"quick_check: {str(found)[:200]}")
        counts = making.count(connection)
        held = int(connection.execute("select count(*) from blobs").get)
    if counts != snapshot.counts or held != len(snapshot.blobs) + snapshot.missing:
        raise StoreDamagedError("the database holds other records than the snapshot says")


def audit_of(database: Database, derive: Derive, checkpoints: Path, present: Path | None = None) -> Audit:
    """The audit log of a restored box. `present`: the file of checkpoints of the box that is replaced, which stays.

    Else it is what the database holds, of the same moment, and what only the file had, which is there already.
    Raises DiskFullError.
    """
    with durable.told_when_full():
        checkpoints.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if present and present.exists():
            content = present.read_bytes()
        else:
            with database.read() as connection:
                rows = connection.execute("select line from audit_checkpoints order by serial").fetchall()
            content = b"".join(str(row[0]).encode() + b"\n" for row in rows)
            content += checkpoints.read_bytes() if checkpoints.exists() else b""
        if content:
            durable.replace(checkpoints, content)
    return Audit(database, derive("audit"), Witness(checkpoints, derive("audit-signing")))


class _Pieces:
    """What comes in pieces, read as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, b""

    def read(self, size: int, /) -> bytes:
        while len(self._rest) < size and (piece := next(self._pieces, b"")):
            self._rest += piece
        part, self._rest = self._rest[:size], self._rest[size:]
        return part


def _new(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600), "wb")
