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
from appliance.machine import folders

_ENDING: Final = ".gguf"
_MOST: Final = 200
_TEXT_CHARS: Final = 200


@dataclass(frozen=True)
class MediaFile:
    """One file that could be a model; `size` in bytes, `changed` in nanoseconds since the epoch."""

    root: Path
    names: tuple[str, ...]
    """Folders from the root on, as the system has them."""
    entry: str
    size: int
    changed: int

    @property
    def id(self) -> str:
        """Names this very file: another one in its place, or the same changed since, has another id."""
        parts = (str(self.root), *self.names, self.entry, str(self.size), str(self.changed))
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:32]

    @property
    def name(self) -> str:
        """As people may see it."""
        return shown_name(self.entry)

    @property
    def place(self) -> str:
        """The folder it is in, as people may see it."""
        return shown_place(self.root, self.names)


class Media:
    """The roots are the operator's own and may be links; nothing below them that is a link is followed."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = tuple(roots)

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
        with contextlib.closing(folders.walk(self._roots)) as visits:
            for visit in visits:
                with contextlib.suppress(OSError):
                    for entry in visit.entries:
                        if entry.name.lower().endswith(_ENDING) and entry.is_file(follow_symlinks=False):
                            state = entry.stat(follow_symlinks=False)
                            file = MediaFile(visit.root, visit.names, entry.name, state.st_size, state.st_mtime_ns)
                            yield visit.descriptor, file


def _first(found: Iterator[tuple[int, MediaFile]]) -> Iterator[tuple[int, MediaFile]]:
    for _number, pair in zip(range(_MOST), found, strict=False):
        yield pair


def shown_place(root: Path, names: tuple[str, ...]) -> str:
    """A folder below a root, as people may see it."""
    return one_line("/".join((str(root), *names)))[:_TEXT_CHARS]
