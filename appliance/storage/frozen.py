"""The database file held still while people go on writing: its bytes as they are, sealed, for a backup.

In WAL mode new pages go to another file, and a checkpoint moves them into the database file only as far as the oldest
reader has seen. So a reader that begins when everything was moved, and nobody could write in between, holds the file
still as long as it reads: it is then the whole database of that moment, page by page as the vault's key has sealed it.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

from appliance import clock
from appliance.errors import BusyError, StoreDamagedError

_TRY_FOR_S: Final = 15.0
_TRY_EVERY_S: Final = 0.05
_RETRY_S: Final = 5
_raw: Final[dict[tuple[int, int], int]] = {}
"""Descriptors by device and inode, for the life of the process: closing one would drop SQLite's locks on the file."""


@dataclass(frozen=True)
class Frozen:
    """One moment of the database. `connection` reads it, `read` gives the file's `size` bytes, sealed."""

    connection: apsw.Connection
    size: int
    _descriptor: int

    def read(self, offset: int, length: int) -> bytes:
        """Raises StoreDamagedError if the file ends before it should."""
        parts: list[bytes] = []
        wanted = min(length, self.size - offset)
        while wanted > 0:
            part = os.pread(self._descriptor, wanted, offset)
            if not part:
                raise StoreDamagedError(f"the database file ends at {offset} of {self.size} bytes")
            parts.append(part)
            offset += len(part)
            wanted -= len(part)
        return b"".join(parts)


@contextmanager
def frozen(path: Path, opened: Callable[[], apsw.Connection]) -> Iterator[Frozen]:
    """Hold the file still; meanwhile the WAL grows with what is written. `opened` makes connections of its own.

    Raises:
        BusyError: somebody has been reading for so long that not everything could be moved.
    """
    with closing(opened()) as reader:
        with closing(opened()) as gate:
            _begin(gate, reader)
        try:
            page = int(reader.execute("pragma page_size").get)
            count = int(reader.execute("pragma page_count").get)
            yield Frozen(reader, page * count, _descriptor(path))
        finally:
            reader.execute("rollback")


def _begin(gate: apsw.Connection, reader: apsw.Connection) -> None:
    """Begin to read at a moment when the file is whole; `gate` keeps writers out for that moment."""
    until = clock.monotonic() + _TRY_FOR_S
    while True:
        gate.execute("begin immediate")
        try:
            logged, moved = reader.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            if logged == moved:
                reader.execute("begin")
                reader.execute("select count(*) from sqlite_schema").get  # noqa: B018 - the first read takes the moment
                return
        except apsw.BusyError:
            pass  # somebody else is moving pages
        finally:
            gate.execute("rollback")
        if clock.monotonic() > until:
            raise BusyError("pages not moved into the database file", retry_after_s=_RETRY_S)
        time.sleep(_TRY_EVERY_S)


def _descriptor(path: Path) -> int:
    found = path.stat()
    name = (found.st_dev, found.st_ino)
    if name not in _raw:
        _raw[name] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return _raw[name]
