"""The encrypted database: one connection per thread, snapshots for reading, one writer at a time."""

import errno
import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import sqlite_vec

from appliance import modes
from appliance.errors import BusyError, DiskFullError, StoreDamagedError, VaultDamagedError
from appliance.storage import migrations
from appliance.storage.frozen import Frozen, frozen
from appliance.vault.digests import check_key

_PLAIN_HEADER = b"SQLite format 3\0"
_BUSY_MS = 15_000
_CACHE_KIB = 4 * 1024
"""Of each connection, and so of each thread, of which the web process has dozens: with 32 MiB each they took hundreds.
The kernel remembers the file, too: a search of the manual takes 28 ms of CPU time instead of 18 (with sqlcipher 83, not
24), and one of a base that is larger than any cache the same.
"""
_WAL_LIMIT_BYTES = 64 * 1024 * 1024
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _Thread(threading.local):
    """What one thread has: its connection, and whether a transaction is open."""

    connection: apsw.Connection | None = None
    reading = False
    writing = False


class Database:
    """The encrypted file. Threads may share the object; a forked child needs its own."""

    def __init__(self, path: Path, key: bytes, cipher: str = "aegis") -> None:
        """Nothing is opened yet; the first `read`, `write` or `migrate` does.

        Raises:
            VaultDamagedError: the key has a wrong length.
        """
        self._path = path
        self._key = check_key(key).hex()
        self._cipher = cipher
        self._thread = _Thread()
        self._connections: weakref.WeakSet[apsw.Connection] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._closed = False

    @contextmanager
    def read(self) -> Iterator[apsw.Connection]:
        """A connection that sees one moment of the database and can't change it.

        Inside a `write` of the same thread it is that transaction, so that it sees its own changes.
        """
        connection = self._connection()
        thread = self._thread
        if thread.reading or thread.writing:
            yield connection
            return
        with self._translated(connection):
            connection.execute("begin")
            thread.reading = True
            try:
                connection.execute("pragma query_only = 1")
                yield connection
            finally:
                thread.reading = False
                connection.execute("pragma query_only = 0")
                _end(connection, "rollback")

    @contextmanager
    def write(self) -> Iterator[apsw.Connection]:
        """A transaction: all of it is on the disk when the block ends, none of it if the block raises.

        Raises:
            DiskFullError: no room; nothing was written.
            BusyError: another process has been writing for too long.
            RuntimeError: nested; a transaction inside a transaction is a mistake in the program.
        """
        connection = self._connection()
        thread = self._thread
        if thread.reading or thread.writing:
            raise RuntimeError("write() inside another transaction of this thread")
        with self._translated(connection):
            connection.execute("begin immediate")
            thread.writing = True
            try:
                yield connection
                connection.execute("commit")
            finally:
                thread.writing = False
                _end(connection, "rollback")

    @contextmanager
    def frozen(self) -> Iterator[Frozen]:
        """The file held still, for a backup, while others go on writing. See `storage.frozen`.

        Raises:
            BusyError: somebody has been reading for too long; try again.
        """
        with self._translated(self._connection()), frozen(self._path, self._open) as still:
            yield still

    @property
    def cipher(self) -> str:
        """What the file is sealed with."""
        return self._cipher

    def migrate(self) -> int:
        """Bring the schema up to date; returns how many steps were applied.

        Raises:
            NewerStoreError: the file comes from a newer release.
        """
        connection = self._connection()
        with self._translated(connection):
            applied = migrations.migrate(connection)
            self._demand_encrypted(connection)
        return applied

    @property
    def is_behind(self) -> bool:
        """Whether `migrate` would apply a step."""
        with self.read() as connection:
            return migrations.version(connection) < len(migrations.STEPS)

    @property
    def reads_from(self) -> int:
        """How many steps a release must know to work with this file."""
        with self.read() as connection:
            return migrations.reads_from(connection)

    def close(self) -> None:
        """Close the connections of all threads; the object can't be used afterwards."""
        with self._lock:
            self._closed = True
            connections = list(self._connections)
            self._connections.clear()
        if os.getpid() == self._owner:
            for connection in connections:
                connection.close()

    def _connection(self) -> apsw.Connection:
        if os.getpid() != self._owner:
            raise RuntimeError("a database connection doesn't survive a fork: open another Database")
        if self._closed:
            raise RuntimeError("the database is closed")
        if self._thread.connection is None:
            opened = self._open()
            with self._lock:
                self._connections.add(opened)
            self._thread.connection = opened
        return self._thread.connection

    def _open(self) -> apsw.Connection:
        """Order matters: cipher, page size and key come before anything that touches the file."""
        try:
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, modes.file()))
        except FileExistsError:
            pass
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise DiskFullError(str(error)) from error
            raise
        connection = apsw.Connection(str(self._path))
        try:
            with self._translated(connection):
                self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: apsw.Connection) -> None:
        connection.set_busy_timeout(_BUSY_MS)
        connection.pragma("cipher", self._cipher)
        if self._cipher == "sqlcipher":
            connection.pragma("legacy", 4)
        connection.pragma("page_size", 4096 if self._cipher == "sqlcipher" else 16384)
        connection.pragma("key", "raw:" + self._key)
        connection.enable_load_extension(True)
        connection.load_extension(sqlite_vec.loadable_path())
        connection.enable_load_extension(False)
        connection.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
        connection.config(apsw.SQLITE_DBCONFIG_DQS_DDL, 0)
        connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
        connection.execute("select count(*) from sqlite_schema").get  # noqa: B018 - a wrong key shows here
        connection.pragma("journal_mode", "wal")
        connection.pragma("journal_size_limit", _WAL_LIMIT_BYTES)
        connection.pragma("synchronous", "full")
        connection.pragma("foreign_keys", 1)
        connection.pragma("temp_store", 2)
        connection.pragma("secure_delete", 1)
        connection.pragma("cache_size", -_CACHE_KIB)
        self._demand_encrypted(connection)

    def _demand_encrypted(self, connection: apsw.Connection) -> None:
        """A key that didn't take makes a plaintext file without a word, so look at the bytes.

        Through SQLite's own descriptor: closing another one on the same file would drop this process's locks.
        """
        complete, header = connection.read("main", 0, 0, len(_PLAIN_HEADER))
        if complete and header == _PLAIN_HEADER:
            raise VaultDamagedError(f"{self._path} is not encrypted", name=self._path.name)

    @contextmanager
    def _translated(self, connection: apsw.Connection) -> Iterator[None]:
        """SQLite's own failures as errors that a user can be told; constraint errors pass unchanged."""
        try:
            yield
        except apsw.NotADBError as error:
            raise VaultDamagedError(f"{self._path}: {error}", name=self._path.name) from error
        except apsw.CorruptError as error:
            raise StoreDamagedError(f"{self._path}: {error}") from error
        except apsw.FullError as error:
            raise DiskFullError(f"{self._path}: {error}") from error
        except apsw.IOError as error:
            if connection.system_errno in _NO_ROOM:
                raise DiskFullError(f"{self._path}: {error}") from error
            raise
        except apsw.BusyError as error:
            raise BusyError(f"{self._path}: {error}", retry_after_s=_BUSY_MS // 1000) from error


def _end(connection: apsw.Connection, how: str) -> None:
    """End a transaction that is still open: SQLite itself rolls back after some failures, e.g. a full disk."""
    if connection.in_transaction:
        connection.execute(how)
