"""Where backups can go: sticks, other disks and folders below the places for media, and how much room there is."""

import contextlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.backup.repository import TOP
from appliance.inference.source import one_line
from appliance.machine import folders
from appliance.machine.folders import Visit

_MOST: Final = 50
_DEEPEST: Final = 2
"""Below a root: who plugged it in, and the stick."""


@dataclass(frozen=True)
class Target:
    """A folder that backups can go to, or lie in. Bytes; 0 while it isn't there."""

    folder: Path
    is_there: bool
    is_writable: bool = False
    has_backups: bool = False
    is_own_disk: bool = False
    """On the disk that the box's data lies on: what breaks the one breaks the other."""
    free: int = 0
    total: int = 0


class Targets:
    """Looks anew each time it is asked. Below the roots no link is followed; `data` is the box's own folder."""

    def __init__(self, roots: Sequence[Path], data: Path, box: str) -> None:
        """`box`: the vault's id, by which its backups are known."""
        self._roots, self._data, self._box = tuple(roots), data, box

    def found(self, known: Iterable[Path] = ()) -> list[Target]:
        """`known`, whether they are there or not, then what is below the roots; each folder once, at most 50."""
        targets = {folder: self._known(folder) for folder in known}
        seen = {os.path.realpath(folder) for folder in targets}
        with contextlib.closing(folders.walk(self._roots)) as visits:
            for visit in visits:
                target = self._below(visit)
                if target and len(targets) < _MOST and os.path.realpath(target.folder) not in seen:
                    targets[target.folder] = target
        return list(targets.values())

    def _known(self, folder: Path) -> Target:
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return Target(folder, is_there=False)
        try:
            return self._target(folder, descriptor)
        finally:
            os.close(descriptor)

    def _below(self, visit: Visit) -> Target | None:
        depth = len(visit.names)
        if depth == 0 or any(one_line(name) != name for name in visit.names):  # what nobody could read or send back
            return None
        if depth >= _DEEPEST:
            visit.deeper.clear()
        mounted = _is_mount(visit.descriptor, "..")
        has_backups = TOP in {entry.name for entry in visit.entries}
        if not mounted and not has_backups:
            # A folder of a person's in which sticks appear is no stick, and deeper down is what somebody keeps there.
            if depth > 1 or any(_is_mount(visit.descriptor, name) for name in visit.deeper):
                return None
            if not os.access(".", os.W_OK, dir_fd=visit.descriptor):
                return None
        if has_backups:
            visit.deeper.clear()
        return self._target(Path(visit.root, *visit.names), visit.descriptor)

    def _target(self, folder: Path, descriptor: int) -> Target:
        room = os.fstatvfs(descriptor)
        return Target(
            folder,
            is_there=True,
            is_writable=os.access(".", os.W_OK, dir_fd=descriptor),
            has_backups=(folder / TOP / self._box).is_dir(),
            is_own_disk=os.fstat(descriptor).st_dev == self._data.stat().st_dev,
            free=room.f_bavail * room.f_frsize,
            total=room.f_blocks * room.f_frsize,
        )


def _is_mount(descriptor: int, name: str) -> bool:
    """Whether that folder, or the one above, is on another file system."""
    try:
        return os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_dev != os.fstat(descriptor).st_dev
    except OSError:
        return False
