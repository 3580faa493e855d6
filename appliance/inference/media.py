"""Models on sticks and in the operator's folders: listed, and opened again without ever leaving those folders."""

import contextlib
import hashlib
import os
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.errors import NotFoundError
from appliance.inference import genai
from appliance.inference.opened_folder import FLAGS, GRAPH
from appliance.inference.source import Source, SourceFolder, one_line, opened_at, shown_name
from appliance.machine import folders
from appliance.machine.folders import Visit

_ENDING: Final = ".gguf"
_MOST: Final = 200
_TEXT_CHARS: Final = 200


@dataclass(frozen=True)
class MediaItem:
    """One file or folder that could be a model; `size` in bytes."""

    root: Path
    names: tuple[str, ...]
    """Folders from the root on, as the system has them."""
    entry: str
    size: int
    state: str
    """Changes with what is in it."""
    is_folder: bool = False

    @property
    def id(self) -> str:
        """Names this very one: another one in its place, or the same changed since, has another id."""
        kind = "folder" if self.is_folder else "file"
        parts = (kind, str(self.root), *self.names, self.entry, str(self.size), self.state)
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

    def found(self) -> list[MediaItem]:
        """What is there now, at most 200; root by root, what lies higher first."""
        with contextlib.closing(self._walk()) as found:
            return [item for _folder, item in _first(found)]

    def taken(self, item_id: str) -> Source | SourceFolder:
        """Open what is in the list. The id is compared, never taken apart, so that it can't lead anywhere.

        Raises:
            NotFoundError: no such one any more, e.g. the stick is gone or something else has its name.
            ModelPathError: it can't be read.
        """
        with contextlib.closing(self._walk()) as found:
            for folder, item in _first(found):
                if item.id == item_id:
                    return _entered(folder, item) if item.is_folder else _opened(folder, item)
        raise NotFoundError("file on a medium")

    def opened(self, item_id: str) -> Source:
        """The same where only a file will do: a folder is not found."""
        place = self.taken(item_id)
        if isinstance(place, Source):
            return place
        place.close()
        raise NotFoundError("file on a medium")

    def _walk(self) -> Generator[tuple[int, MediaItem], None, None]:
        """Each with its open folder, or itself open if it is one; closed as soon as the next one is asked for."""
        with contextlib.closing(folders.walk(self._roots)) as visits:
            for visit in visits:
                with contextlib.suppress(OSError):
                    for item in _items(visit):
                        yield visit.descriptor, item


def _items(visit: Visit) -> Iterator[MediaItem]:
    """The folder itself if it holds an ONNX model, and the model files in it."""
    ordinary = [entry for entry in visit.entries if entry.is_file(follow_symlinks=False)]
    states = {entry.name: entry.stat(follow_symlinks=False) for entry in ordinary}
    if any(name == genai.CONFIG or name.endswith(GRAPH) for name in states):
        *above, own = visit.names or (visit.root.name,)
        described = "\0".join(f"{name}\0{state.st_size}\0{state.st_mtime_ns}" for name, state in states.items())
        size = sum(state.st_size for state in states.values())
        yield MediaItem(visit.root, tuple(above), own, size, described, is_folder=True)
    for name, state in states.items():
        if name.lower().endswith(_ENDING):
            yield MediaItem(visit.root, visit.names, name, state.st_size, str(state.st_mtime_ns))


def _first(found: Iterator[tuple[int, MediaItem]]) -> Iterator[tuple[int, MediaItem]]:
    for _number, pair in zip(range(_MOST), found, strict=False):
        yield pair


def _opened(folder: int, item: MediaItem) -> Source:
    source = opened_at(item.entry, item.name, folder)
    state = os.fstat(source.descriptor)
    if (state.st_size, str(state.st_mtime_ns)) != (item.size, item.state):
        source.close()
        raise NotFoundError("file on a medium")
    return source


def _entered(folder: int, item: MediaItem) -> SourceFolder:
    """The walk closes its own; this one is held apart from it."""
    try:
        return SourceFolder(os.open(".", FLAGS | os.O_DIRECTORY, dir_fd=folder), item.name)
    except OSError as error:  # e.g. the stick was pulled out
        raise NotFoundError(f"folder on a medium: {error.strerror}") from error


def shown_place(root: Path, names: tuple[str, ...]) -> str:
    """A folder below a root, as people may see it."""
    return one_line("/".join((str(root), *names)))[:_TEXT_CHARS]
