"""Model files on sticks and in the operator's folders: listed, and opened again without ever leaving those folders."""

import contextlib
import hashlib
import os
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.errors import NotFoundError
from appliance.inference.source import Source, one_line, opened_at, shown_name

_ENDING: Final = ".gguf"
_DEEPEST: Final = 3
"""Folders below a root: the person who plugged it in, the stick's name, and one on the stick."""
_MOST: Final = 200
_LOOKED_AT: Final = 20_000
"""Entries of folders; a stick full of small files is not read to its end."""
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_TEXT_CHARS: Final = 200


@dataclass(frozen=True)
class MediaFile:
    """One file that could be a model; `size` in bytes, `changed` in nanoseconds since the epoch."""

    root: Path
    folders: tuple[str, ...]
    """From the root on, as the system has them."""
    entry: str
    size: int
    changed: int

    @property
    def id(self) -> str:
        """Names this very file: another one in its place, or the same changed since, has another id."""
        parts = (str(self.root), *self.folders, self.entry, str(self.size), str(self.changed))
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:32]

    @property
    def name(self) -> str:
        """As people may see it."""
        return shown_name(self.entry)

    @property
    def place(self) -> str:
        """The folder it is in, as people may see it."""
        return one_line("/".join((str(self.root), *self.folders)))[:_TEXT_CHARS]


class Media:
    """The roots are the operator's own and may be links; nothing below them that is a link is followed."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = tuple(dict.fromkeys(roots))

    def files(self) -> list[MediaFile]:
        """What is there now, at most 200 files; root by root, what lies higher first."""
        with contextlib.closing(self._walk()) as found:
            return [file for _folder, file in _first(found)]

    def opened(self, file_id: str) -> Source:
        """Open a file of the list. The id is compared, never taken apart, so that it can't lead anywhere.

        Raises:
            NotFoundError: no such file any more, e.g. the stick is gone or something else has its name.
            ModelPathError: it can't be read.
        """
        with contextlib.closing(self._walk()) as found:
            for folder, file in _first(found):
                if file.id == file_id:
                    source = opened_at(file.entry, file.name, folder)
                    state = os.fstat(source.descriptor)
                    if (state.st_size, state.st_mtime_ns) == (file.size, file.changed):
                        return source
                    source.close()
                    break
        raise NotFoundError("file on a medium")

    def _walk(self) -> Generator[tuple[int, MediaFile], None, None]:
        """Each file with its open folder, which closes as soon as the next one is asked for."""
        left = [_LOOKED_AT]
        for root in self._roots:
            level: list[tuple[str, ...]] = [()]
            for _depth in range(_DEEPEST + 1):
                deeper: list[tuple[str, ...]] = []
                for folders in level:
                    with contextlib.suppress(OSError), _folder(root, folders) as descriptor:
                        for entry in _entries(descriptor, left):
                            if entry.is_dir(follow_symlinks=False):
                                deeper.append((*folders, entry.name))
                            elif entry.name.lower().endswith(_ENDING) and entry.is_file(follow_symlinks=False):
                                state = entry.stat(follow_symlinks=False)
                                yield (
                                    descriptor,
                                    MediaFile(root, folders, entry.name, state.st_size, state.st_mtime_ns),
                                )
                level = deeper


def _first(found: Iterator[tuple[int, MediaFile]]) -> Iterator[tuple[int, MediaFile]]:
    for _number, pair in zip(range(_MOST), found, strict=False):
        yield pair


@contextlib.contextmanager
def _folder(root: Path, folders: tuple[str, ...]) -> Iterator[int]:
    """The folder open, reached step by step from the root; a link on the way is an OSError."""
    descriptor = os.open(root, _FOLDER)
    try:
        for name in folders:
            inner = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def _entries(folder: int, left: list[int]) -> list["os.DirEntry[str]"]:
    """What is in a folder by name, hidden things left out; as much as may still be looked at."""
    seen: list[os.DirEntry[str]] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if left[0] <= 0:
                break
            left[0] -= 1
            if not entry.name.startswith("."):
                seen.append(entry)
    return sorted(seen, key=lambda entry: entry.name)
