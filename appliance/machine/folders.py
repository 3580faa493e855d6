"""Walks folders whose content is nobody's we know (sticks): no link is followed, nothing is read without end."""

import contextlib
import os
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_DEEPEST: Final = 3
"""Folders below a root: the person who plugged it in, the stick's name, and one on the stick."""
_LOOKED_AT: Final = 20_000
"""Entries of folders; a stick full of small files is not read to its end."""
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True)
class Visit:
    """A folder while the walk is in it."""

    root: Path
    names: tuple[str, ...]
    """From the root on, as the system has them."""
    descriptor: int
    """The folder, open until the next one is asked for."""
    entries: "tuple[os.DirEntry[str], ...]"
    """By name; hidden ones are left out."""
    deeper: list[str]
    """The folders in it, to be visited later; names that the visitor takes out are not."""


def walk(roots: Sequence[Path]) -> Generator[Visit, None, None]:
    """Root by root, what lies higher first. Roots are the operator's own and may be links; nothing below may."""
    left = [_LOOKED_AT]
    for root in dict.fromkeys(roots):
        level: list[tuple[str, ...]] = [()]
        for _depth in range(_DEEPEST + 1):
            below: list[tuple[str, ...]] = []
            for names in level:
                with contextlib.suppress(OSError), _held(root, names) as descriptor:
                    entries = _entries(descriptor, left)
                    deeper = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
                    yield Visit(root, names, descriptor, entries, deeper)
                    below += [(*names, name) for name in deeper]
            level = below


def opened(root: Path, names: Sequence[str]) -> int:
    """The folder, reached step by step from the root. Raises OSError, also for a link on the way."""
    descriptor = os.open(root, _FOLDER)
    for name in names:
        try:
            inner = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = inner
    return descriptor


@contextlib.contextmanager
def _held(root: Path, names: tuple[str, ...]) -> Iterator[int]:
    descriptor = opened(root, names)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _entries(folder: int, left: list[int]) -> "tuple[os.DirEntry[str], ...]":
    """As much of what is in a folder as may still be looked at."""
    seen: list[os.DirEntry[str]] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if left[0] <= 0:
                break
            left[0] -= 1
            if not entry.name.startswith("."):
                seen.append(entry)
    return tuple(sorted(seen, key=lambda entry: entry.name))
