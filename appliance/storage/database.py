"""The encrypted database: a few connections that are lent, snapshots for reading, one writer at a time."""

import errno
import os
import threading
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
_CACHE_KIB = 8 * 1024
"""Of each connection: a page that isn't in it has to be decrypted again, a tenth to a third of a search's CPU time."""
_KEPT = 4
"""Connections that wait to be lent again; more are opened when more are needed at once, and closed afterwards."""
_WAL_LIMIT_BYTES = 64 * 1024 * 1024
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _Thread(threading.local):
    """What a thread has while one of its transactions is open."""

    connection: apsw.Connection | None = None


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
        self._idle: list[apsw.Connection] = []
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._closed = False

    @contextmanager
    def read(self) -> Iterator[apsw.Connection]:
        """A connection that sees one moment of the database and can't change it.

        Inside a `write` of the same thread it is that transaction, so that it sees its own changes.
        """
        thread = self._thread
        if thread.connection is not None:
            yield thread.connection
            return
        with self._lent() as connection:
            connection.execute("begin")
            thread.connection = connection
            try:
                connection.execute("pragma query_only = 1")
                yield connection
            finally:
                thread.connection = None
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
        thread = self._thread
        if thread.connection is not None:
            raise RuntimeError("write() inside another transaction of this thread")
        with self._lent() as connection:
            connection.execute("begin immediate")
            thread.connection = connection
            try:
                yield connection
                connection.execute("commit")
            finally:
                thread.connection = None
                _end(connection, "rollback")

    @contextmanager
    def frozen(self) -> Iterator[Frozen]:
        """The file held still, for a backup, while others go on writing. See `storage.frozen`.

        Raises:
            BusyError: somebody has been reading for too long; try again.
        """
        with self._lent(), frozen(self._path, self._open) as still:
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
        with self._lent() as connection:
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
        """Close the connections, those that are lent when they come back; the object can't be used afterwards."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        if os.getpid() == self._owner:
            for connection in idle:
                connection.close()

    @contextmanager
    def _lent(self) -> Iterator[apsw.Connection]:
        """A connection for one thread: the one that came back last, whose cache knows most of what is asked now."""
        if os.getpid() != self._owner:
            raise RuntimeError("a database connection doesn't survive a fork: open another Database")
        if self._closed:
            raise RuntimeError("the database is closed")
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        connection = connection or self._open()
        try:
            with self._translated(connection):
                yield connection
        finally:
            with self._lock:
                is_kept = not self._closed and len(self._idle) < _KEPT and not connection.in_transaction
                if is_kept:
                    self._idle.append(connection)
            if not is_kept:
                connection.close()

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
