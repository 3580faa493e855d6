"""Encrypted files named by a keyed digest of their content, each under a key of its own in the database."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import apsw

from appliance import clock, durable, modes
from appliance.errors import EnvelopeError, NotFoundError
from appliance.storage.database import Database
from appliance.vault.digests import KeyedReader, derive
from appliance.vault.envelope import new_key, open_stream, seal_stream, unwrap_key, wrap_key

_INCOMING = "incoming"


@dataclass(frozen=True)
class Blob:
    """A stored file. `digest` tells same content apart from other content; it is also the `id`."""

    id: str
    size: int
    digest: str


class BlobStore:
    """Files at rest: no plaintext on the disk, not even while one comes in."""

    def __init__(self, folder: Path, database: Database, key: bytes) -> None:
        self._folder = folder
        self._incoming = folder / _INCOMING
        self._database = database
        self._names_key = derive(key, "hako/v1/blob-names")
        self._wrap_key = derive(key, "hako/v1/blob-keys")
        self._incoming.mkdir(mode=modes.folder(), parents=True, exist_ok=True)

    def put(self, source: BinaryIO) -> Blob:
        """Store `source` to its end. The same content again is the same blob.

        Raises:
            DiskFullError: no room; nothing was kept.
        """
        reader = KeyedReader(self._names_key, source)
        file_key = new_key()
        with durable.told_when_full(), self._incoming_file() as (part, target):
            size = seal_stream(file_key, reader, target)
            target.flush()
            os.fsync(target.fileno())
            blob = Blob(reader.digest(), size, reader.digest())
            with self._database.write() as connection:
                if not self._is_whole(connection, blob.id):
                    self._keep(connection, blob, part, file_key)
        return blob

    def open(self, blob_id: str) -> Iterator[bytes]:
        """The content in chunks. Only a normal end says that all of it was there.

        Raises:
            NotFoundError: no such blob.
            EnvelopeError: the stored file is missing, cut off or altered.
        """
        with self._database.read() as connection:
            wrapped = connection.execute("select wrapped_key from blobs where id = ?", (blob_id,)).get
        if wrapped is None:
            raise NotFoundError(f"blob {blob_id}")
        file_key = unwrap_key(self._wrap_key, wrapped, blob_id.encode())
        try:
            source = self._path(blob_id).open("rb")
        except OSError as error:
            raise EnvelopeError(f"blob {blob_id}: {error}") from error
        return _chunks(file_key, source)

    def fetch(self, blob_id: str, target: BinaryIO) -> None:
        """Write the content to `target`, a buffered file, e.g. a memory file for the parser."""
        target.writelines(self.open(blob_id))

    def holds(self, connection: apsw.Connection, blob_id: str) -> bool:
        """Whether the blob is there, asked inside the transaction that is about to refer to it."""
        return connection.execute("select 1 from blobs where id = ?", (blob_id,)).get is not None

    def delete(self, blob_id: str) -> bool:
        """Erase the blob unless a document still uses it; returns whether it is gone.

        The key goes first: from then on nobody can read the file, even if it is still there after a crash.
        """
        with self._database.write() as connection:
            connection.execute(
                "delete from blobs where id = ?1 and not exists (select 1 from documents where blob_id = ?1)",
                (blob_id,),
            )
            gone = not self.holds(connection, blob_id)
        if gone:
            self._remove_unheld(self._path(blob_id))
        return gone

    def sweep(self) -> int:
        """Remove what a crash left behind: files without a row, uploads without a writer; returns how many."""
        with self._database.read() as connection:
            held = {str(row[0]) for row in connection.execute("select id from blobs")}
        removed = 0
        for path in sorted(self._folder.glob("??/*")):
            if path.name not in held:
                removed += self._remove_unheld(path)
        for path in sorted(self._incoming.iterdir()):
            removed += _remove_unlocked(path)
        return removed

    def _path(self, blob_id: str) -> Path:
        if len(blob_id) != 64 or not set(blob_id) <= set("0123456789abcdef"):
            raise NotFoundError("not a blob id")
        return self._folder / blob_id[:2] / blob_id

    def _is_whole(self, connection: apsw.Connection, blob_id: str) -> bool:
        return self.holds(connection, blob_id) and self._path(blob_id).exists()

    def _keep(self, connection: apsw.Connection, blob: Blob, part: Path, file_key: bytes) -> None:
        """Move the file to its name and write its row; the open transaction keeps other writers out."""
        path = self._path(blob.id)
        path.parent.mkdir(mode=modes.folder(), exist_ok=True)
        part.rename(path)
        durable.sync(path.parent)
        durable.sync(self._folder)
        connection.execute(
            "insert or replace into blobs (id, size, wrapped_key, created_at) values (?, ?, ?, ?)",
            (blob.id, blob.size, wrap_key(self._wrap_key, file_key, blob.id.encode()), clock.now()),
        )

    def _remove_unheld(self, path: Path) -> int:
        """Remove a file that has no row. Inside a transaction, so that no `put` can be bringing it back."""
        with self._database.write() as connection:
            if self.holds(connection, path.name) or not path.exists():
                return 0
            path.unlink()
        return 1

    def _new_part(self) -> tuple[Path, BinaryIO]:
        part = self._incoming / secrets.token_hex(16)
        descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, modes.file())
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return part, os.fdopen(descriptor, "wb")

    @contextmanager
    def _incoming_file(self) -> Iterator[tuple[Path, BinaryIO]]:
        """A file being written, locked as long as its writer lives so that `sweep` leaves it alone."""
        part, target = self._new_part()
        while os.fstat(target.fileno()).st_nlink == 0:  # a sweep was faster than the lock
            target.close()
            part, target = self._new_part()
        with target:
            try:
                yield part, target
            finally:
                with suppress(FileNotFoundError):
                    part.unlink()


def _chunks(key: bytes, source: BinaryIO) -> Iterator[bytes]:
    with source:
        yield from open_stream(key, source)


def _remove_unlocked(path: Path) -> int:
    with suppress(FileNotFoundError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        path.unlink()
        return 1
    return 0
