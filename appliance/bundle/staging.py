"""Brings a bundle's files in: each byte of the medium is read once, checked, and on the disk before it counts.

A journal says which parts are there, so that a pulled stick or a power cut costs less than one part.
"""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from tuf.api.exceptions import DownloadError, DownloadHTTPError

from appliance import durable, modes
from appliance.bundle.index import Index, Part
from appliance.bundle.trust.medium import refusal
from appliance.closing import Closing
from appliance.errors import (
    BundleDamagedError,
    BundleIncompleteError,
    ConflictError,
)
from appliance.inference.importing import demand_room, locked

_JOURNAL: Final = "journal"
FILES: Final = "files"
_CHUNK: Final = 4 << 20
_MODES: Final = {"file": modes.file, "program": modes.folder}


class Source(Protocol):
    """Where parts come from. `read` raises python-tuf's DownloadError; 404 means that it isn't there."""

    def read(self, path: str, /) -> Iterator[bytes]: ...


@dataclass(frozen=True)
class Progress:
    """Bytes that are in, of those that have to be."""

    done: int
    total: int


def part_path(part: Part) -> str:
    """Where a part lies on a medium."""
    return f"parts/{part.sha256[:2]}/{part.sha256}"


def missing(folder: Path, index: Index, digest: str) -> int:
    """Bytes that have still to come into `folder`, as the journal says; nothing is made or locked."""
    placed = _read_journal(folder / digest / _JOURNAL)
    return _missing(index, placed)


class Staging(Closing):
    """The files of one bundle on their way in, in `<folder>/<digest of its index>`. Held by one process at a time."""

    def __init__(self, folder: Path, index: Index, digest: str) -> None:
        """Raises ConflictError while another process brings the same bundle in."""
        self.index = index
        self.files = folder / digest / FILES
        self._folder = folder / digest
        durable.folder(self.files)
        self._lock = locked(self._folder)
        if self._lock is None:
            raise ConflictError(name=index.name)
        self._placed = _read_journal(self._folder / _JOURNAL)
        self._settled: set[str] = set()

    def close(self) -> None:
        """Let go; what came stays, to be gone on with."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def drop(self) -> None:
        """Remove what came."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self.close()

    @property
    def missing(self) -> int:
        """Bytes that have still to come."""
        return _missing(self.index, self._placed)

    def demand_room(self) -> None:
        """Raises DiskFullError where what is missing would not fit; nothing was written."""
        demand_room(self._folder, self.missing)

    def bring(self, sources: Sequence[Source], stopped: Callable[[], bool] = lambda: False) -> Iterator[Progress]:
        """Bring every part that is not there yet; ends early, and can be gone on with, once `stopped`.

        Raises:
            BundleUnreadableError: the medium can't be read.
            BundleIncompleteError: a part is nowhere: the bundle is thin, and its base is not on this box.
            BundleDamagedError: a part is not what was signed.
            DiskFullError: no room any more.
        """
        done = self.index.size - self.missing
        yield Progress(done, self.index.size)
        with durable.told_when_full(), (self._folder / _JOURNAL).open("a", encoding="ascii") as journal:
            for place in _places(self.index):
                if place.key in self._placed:
                    continue
                if stopped():
                    return
                with self._opened(place.path) as target:
                    for size in _fetched(sources, place, target, self.index.requires.base):
                        done += size
                        yield Progress(done, self.index.size)
                    os.fdatasync(target)
                self._settle(place.path)
                # Only now does the part count: its bytes are on the disk, and so is the way to them.
                journal.write(f"{place.key}\n")
                journal.flush()
                os.fdatasync(journal.fileno())
                self._placed.add(place.key)

    def finish(self, tell: Callable[[Progress], None] = lambda _progress: None) -> Path:
        """Check every file as it lies on the disk now; the folder that holds them. `tell` may raise to stop it.

        Raises:
            BundleDamagedError: a file is not what was signed; all is forgotten, to be brought again.
        """
        done = 0
        for file in self.index.files:
            with self._opened(file.path) as opened, open(opened, "rb", closefd=False) as content:
                sound, digest = os.fstat(opened).st_size == file.size, hashlib.sha256()
                while sound and (piece := content.read(_CHUNK)):
                    digest.update(piece)
                    done += len(piece)
                    tell(Progress(done, self.index.size))
                sound = sound and digest.hexdigest() == file.sha256
                os.fchmod(opened, _MODES[file.mode]())
                os.fsync(opened)
            if not sound:
                self.drop()
                raise BundleDamagedError("changed on the disk")
        for folder in {parent for file in self.index.files for parent in (self.files / file.path).parents}:
            if folder.is_relative_to(self.files):
                durable.sync(folder)
        return self.files

    def _settle(self, path: str) -> None:
        """Push the names on the way to a file to the disk, once for each file."""
        if path not in self._settled:
            self._settled.add(path)
            for folder in (self.files / path).parents:
                durable.sync(folder)
                if folder == self._folder:
                    return

    @contextlib.contextmanager
    def _opened(self, path: str) -> Iterator[int]:
        place = self.files / path
        place.parent.mkdir(mode=modes.folder(), parents=True, exist_ok=True)
        opened = os.open(place, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, modes.file())
        try:
            yield opened
        finally:
            os.close(opened)


@dataclass(frozen=True)
class _Place:
    key: str
    path: str
    offset: int
    part: Part


def _places(index: Index) -> Iterator[_Place]:
    for file_number, file in enumerate(index.files):
        offset = 0
        for part_number, part in enumerate(file.parts):
            yield _Place(f"{file_number} {part_number}", file.path, offset, part)
            offset += part.size


def _missing(index: Index, placed: set[str]) -> int:
    return sum(place.part.size for place in _places(index) if place.key not in placed)


def _read_journal(path: Path) -> set[str]:
    """A last line that a power cut has halved names no place, or one that `finish` looks at anyway."""
    try:
        return set(path.read_text("ascii", "replace").split("\n")[:-1])
    except FileNotFoundError:
        return set()


def _fetched(sources: Sequence[Source], place: _Place, target: int, base: str) -> Iterator[int]:
    """Write a part from the first source that has it; yields how many bytes came."""
    for source in sources:
        pieces = checked(source, place.part)
        if pieces is None:
            continue
        offset = place.offset
        for piece in pieces:
            _write(target, piece, offset)
            offset += len(piece)
            yield len(piece)
        return
    raise BundleIncompleteError(place.part.sha256, base=base or "?")


def checked(source: Source, part: Part) -> Iterator[bytes] | None:
    """The bytes of a part, None where the source doesn't have it. Only at their end is it clear that they are right.

    Raises:
        BundleUnreadableError: the medium can't be read.
        BundleDamagedError: not what was signed.
    """
    try:
        return _compared(source.read(part_path(part)), part)
    except DownloadHTTPError:
        return None
    except DownloadError as error:
        raise refusal(error) from error


def _compared(pieces: Iterator[bytes], part: Part) -> Iterator[bytes]:
    digest, came = hashlib.sha256(), 0
    try:
        for piece in pieces:
            came += len(piece)
            if came > part.size:
                raise BundleDamagedError("part too long")
            digest.update(piece)
            yield piece
    except DownloadError as error:
        raise refusal(error) from error
    if came != part.size or digest.hexdigest() != part.sha256:
        raise BundleDamagedError("part is another one")


def _write(target: int, piece: bytes, offset: int) -> None:
    view = memoryview(piece)
    while view:
        written = os.pwrite(target, view, offset)
        view, offset = view[written:], offset + written
