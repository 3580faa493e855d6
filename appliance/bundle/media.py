"""Bundles and packs on sticks and in the operator's folders: listed by what they look like, and found again."""

import contextlib
import hashlib
import os
import stat
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from appliance.errors import BundleUnreadableError
from appliance.inference.media import shown_place
from appliance.inference.source import shown_name
from appliance.machine import folders
from appliance.machine.folders import Visit

_METADATA: Final = "metadata"
_NEWEST: Final = "timestamp.json"
"""The part of TUF's metadata that is signed anew for each medium, and has no number before its name."""
PACK_ENDING: Final = ".hakopack"
_MOST: Final = 50
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW


@dataclass(frozen=True)
class Place:
    """A folder of this machine. On the way `below` the one that somebody named, no link is followed."""

    folder: Path
    below: tuple[str, ...] = ()
    pack: str = ""
    """The file in it, where it is a pack that a box has made."""

    @property
    def payload(self) -> dict[str, Any]:
        """For a job; `place_of` reads it."""
        return {"folder": str(self.folder), "below": list(self.below), "pack": self.pack}


@dataclass(frozen=True)
class FoundMedium:
    """What looks like a medium, or like a pack; whether it is one, and whose, says only a look at its signatures."""

    place: Place
    identity: tuple[int, ...]
    """Of the folder and of its newest metadata, or of the pack: devices, inodes, time and size."""

    @property
    def id(self) -> str:
        """Names this very folder as it is: another stick in its place, or a newer bundle on it, has another id."""
        parts = (str(self.place.folder), *self.place.below, self.place.pack, *map(str, self.identity))
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:32]

    @property
    def name(self) -> str:
        """The folder's own name, or the pack's, as people may see it."""
        return shown_name(self.place.pack or (self.place.folder.name, *self.place.below)[-1])

    @property
    def path(self) -> str:
        """Where it is, as people may see it."""
        return shown_place(self.place.folder, (*self.place.below, *filter(None, (self.place.pack,))))


class BundleMedia:
    """The roots are the operator's own and may be links; nothing below them that is a link is followed."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = tuple(roots)

    def found(self) -> list[FoundMedium]:
        """What is there now, at most 50 folders; root by root, what lies higher first."""
        with contextlib.closing(self._walk()) as found:
            return [medium for _number, medium in zip(range(_MOST), found, strict=False)]

    def get(self, medium_id: str) -> FoundMedium:
        """One of the list. The id is compared, never taken apart, so that it can't lead anywhere.

        Raises:
            BundleUnreadableError: no such folder any more, e.g. the stick is gone or another one is in its place.
        """
        for medium in self.found():
            if medium.id == medium_id:
                return medium
        raise BundleUnreadableError("gone")

    def _walk(self) -> Generator[FoundMedium, None, None]:
        with contextlib.closing(folders.walk(self._roots)) as visits:
            for visit in visits:
                identity = _identity(visit)
                if identity is not None:
                    visit.deeper.clear()  # thousands of parts, and no medium in a medium
                    yield FoundMedium(Place(visit.root, visit.names), identity)
                yield from _packs(visit)


def place_of(payload: Mapping[str, Any]) -> Place:
    """What `Place.payload` wrote."""
    below = tuple(str(name) for name in payload.get("below", ()))
    return Place(Path(str(payload["folder"])), below, str(payload.get("pack", "")))


def _packs(visit: Visit) -> Generator[FoundMedium, None, None]:
    """Files in the folder that are called like packs."""
    for entry in visit.entries:
        if entry.name.endswith(PACK_ENDING):
            with contextlib.suppress(OSError):
                found = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(found.st_mode):
                    identity = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
                    yield FoundMedium(Place(visit.root, visit.names, entry.name), identity)


def _identity(visit: Visit) -> tuple[int, ...] | None:
    """None unless the folder holds an ordinary file `metadata/timestamp.json`, with no link on the way."""
    if _METADATA not in visit.deeper:
        return None
    try:
        metadata = os.open(_METADATA, _FOLDER, dir_fd=visit.descriptor)
        try:
            newest = os.stat(_NEWEST, dir_fd=metadata, follow_symlinks=False)
        finally:
            os.close(metadata)
        own = os.fstat(visit.descriptor)
    except OSError:
        return None
    if not stat.S_ISREG(newest.st_mode):
        return None
    return own.st_dev, own.st_ino, newest.st_ino, newest.st_size, newest.st_mtime_ns
