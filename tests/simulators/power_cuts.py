"""A disk that forgets: records what a piece of work does to some folders, and makes every state a power cut can leave.

A write is only sure after `fsync` of its file, a name only after `fsync` of its folder; until then each may be there or
not, in any mixture. SQLite is taken at its word: what it has written counts as sure. Nothing else is trusted.
"""

import builtins
import io
import os
import random
import shutil
import stat
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CALLS = (
    "open", "fsync", "fdatasync", "rename", "replace", "unlink", "remove", "rmdir", "mkdir", "link", "symlink",
    "truncate", "ftruncate", "pwrite", "write", "fchmod", "chmod", "sync",
)  # fmt: skip
SQLITE = ("hako.db", "hako.db-wal")
_IGNORED = ("-shm",)
"""SQLite makes it anew after a cut."""
_YOUNG_NS = 50_000_000
"""Times on a disk are coarse: what is younger is read again, however it looks."""


@dataclass
class _Node:
    """A file, link or folder by a number of its own; `content` of a file is its bytes, of a link where it leads."""

    kind: str
    mode: int
    content: bytes = b""
    stamp: tuple[int, ...] = ()
    entries: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Write:
    node: int
    content: bytes
    is_sure: bool = False


@dataclass(frozen=True)
class Naming:
    """Names that change together: folder, name, and what it leads to from then on, None for nothing."""

    changes: tuple[tuple[int, str, int | None], ...]
    is_sure: bool = False


@dataclass(frozen=True)
class Sync:
    """What is sure from now on: a node, or everything where it is None."""

    node: int | None


Event = Write | Naming | Sync
State = dict[str, tuple[str, int, bytes]]
"""Path to kind, mode and content."""


class Recording:
    """What happened to `roots`, event by event."""

    def __init__(self, roots: Sequence[Path], sqlite: Sequence[str] = SQLITE) -> None:
        self._roots, self._sqlite = list(roots), frozenset(sqlite)
        self._nodes: dict[int, _Node] = {}
        self._alive: dict[tuple[int, int], int] = {}
        self.events: list[Event] = []
        self._count = 0
        self._real: dict[str, Any] = {name: getattr(os, name) for name in CALLS}
        self._is_looking = False
        self._look("")
        self.start = {number: _copied(node) for number, node in self._nodes.items()}
        self.events.clear()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Watch this thread's calls meanwhile; others of the process have nothing to do with the roots."""
        watched = threading.get_ident()
        with pytest.MonkeyPatch.context() as patch:
            for name in CALLS:
                patch.setattr(os, name, self._watched(name, self._real[name], watched))
            opened = self._watched("open", io.open, watched)
            patch.setattr(io, "open", opened)
            patch.setattr(builtins, "open", opened)
            yield
        self._look("")

    def everything_is_sure(self) -> None:
        """For what pushes a whole file system by another way than Python's own."""
        self._look("sync")
        self.events.append(Sync(None))

    def changed_at_once(self) -> None:
        """For what has changed names in one step by another way than Python's own."""
        self._look("rename")

    def _watched(self, name: str, real: Callable[..., Any], thread: int) -> Callable[..., Any]:
        def call(*given: Any, **more: Any) -> Any:
            if self._is_looking or threading.get_ident() != thread:
                return real(*given, **more)
            self._look("")
            answer = real(*given, **more)
            self._look(name)
            if name == "sync":
                self.events.append(Sync(None))
            elif name in ("fsync", "fdatasync"):
                self._sure(given[0])
            return answer

        return call

    def _sure(self, opened: int) -> None:
        found = os.fstat(opened)
        number = self._alive.get((found.st_dev, found.st_ino))
        if number is not None:
            self.events.append(Sync(number))

    def _look(self, name: str) -> None:
        """Compare the folders with what they were; whatever is another becomes an event."""
        self._is_looking = True
        try:
            before = self._alive
            self._alive, changes = {}, []
            for root in self._roots:
                self._visit(root, before, changes)
            gone = before.keys() - self._alive.keys()
            for key in gone:
                number = before[key]
                if self._nodes[number].kind == "folder":
                    self._nodes[number].entries = {}
        finally:
            self._is_looking = False
        if name in ("rename", "replace") and changes:
            self.events.append(Naming(tuple(changes)))
        else:
            self.events.extend(Naming((change,), change[1] in self._sqlite) for change in changes)

    def _visit(
        self, path: Path | str, before: dict[tuple[int, int], int], changes: list[tuple[int, str, int | None]]
    ) -> int:
        found = Path(path).lstat()
        key = (found.st_dev, found.st_ino)
        number = self._alive.get(key, before.get(key))
        kind = "folder" if stat.S_ISDIR(found.st_mode) else "link" if stat.S_ISLNK(found.st_mode) else "file"
        is_new = number is None or self._nodes[number].kind != kind
        if is_new:
            number = self._count
            self._count += 1
            self._nodes[number] = _Node(kind, stat.S_IMODE(found.st_mode))
        assert number is not None
        if key in self._alive and kind != "folder":
            return number
        self._alive[key] = number
        node = self._nodes[number]
        node.mode = stat.S_IMODE(found.st_mode)
        if kind != "folder":
            self._read(path, number, found)
            return number
        entries = {}
        with os.scandir(path) as inside:
            for entry in sorted(inside, key=lambda entry: entry.name):
                if not entry.name.endswith(_IGNORED):
                    entries[entry.name] = self._visit(entry.path, before, changes)
        was = node.entries
        other = [name for name in {**was, **entries} if was.get(name) != entries.get(name)]
        changes.extend((number, name, entries.get(name)) for name in other)
        node.entries = entries
        return number

    def _read(self, path: Path | str, number: int, found: os.stat_result) -> None:
        node = self._nodes[number]
        stamp = (found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        if stamp == node.stamp and found.st_ctime_ns < time.time_ns() - _YOUNG_NS:
            return
        if node.kind == "link":
            content = os.fsencode(Path(path).readlink())
        else:
            opened = self._real["open"](path, os.O_RDONLY)
            try:
                content = b"".join(iter(lambda: os.read(opened, 1 << 20), b""))
            finally:
                os.close(opened)
        is_first, node.stamp = not node.stamp, stamp
        if is_first or content != node.content:
            node.content = content
            self.events.append(Write(number, content, Path(path).name in self._sqlite or node.kind == "link"))

    @property
    def kinds(self) -> dict[int, tuple[str, int]]:
        """What each node is, with its mode."""
        return {number: (node.kind, node.mode) for number, node in self._nodes.items()}


def _copied(node: _Node) -> _Node:
    return _Node(node.kind, node.mode, node.content, (), dict(node.entries))


class Disk:
    """What is sure of a recording up to an event, and what hangs in the air."""

    def __init__(self, recording: Recording) -> None:
        self._kinds = recording.kinds
        self._content = {number: node.content for number, node in recording.start.items()}
        self._entries = {
            number: dict(node.entries) for number, node in recording.start.items() if node.kind == "folder"
        }
        self.pending: list[Write | Naming] = []

    def step(self, event: Event) -> None:
        """Go on by one event."""
        if not isinstance(event, Sync):
            if event.is_sure:
                _apply(event, self._content, self._entries)
            else:
                self.pending.append(event)
            return
        sure, left = [], []
        for each in self.pending:
            (sure if event.node is None or event.node in _touched(each) else left).append(each)
        self.pending = left
        for each in sure:
            _apply(each, self._content, self._entries)

    def after_a_cut(self, kept: Callable[[Write | Naming], bool | float]) -> State:
        """The tree where of what hangs in the air only that is there which `kept` says.

        Of a write it may say how much of its bytes have come: 0.5 for the first half, -0.5 for none, though the file
        is as long as if they had. What an earlier write has left at the beginning stays.
        """
        content = dict(self._content)
        entries = {number: dict(names) for number, names in self._entries.items()}
        for each in self.pending:
            said = kept(each)
            if isinstance(each, Write) and not isinstance(said, bool):
                content[each.node] = _torn(content.get(each.node, b""), each.content, said)
            elif said:
                _apply(each, content, entries)
        state: State = {}
        self._lay(0, "", content, entries, state)
        return state

    def _lay(
        self, number: int, path: str, content: dict[int, bytes], entries: dict[int, dict[str, int]], state: State
    ) -> None:
        kind, mode = self._kinds[number]
        state[path] = (kind, mode, b"" if kind == "folder" else content.get(number, b""))
        for name, child in entries.get(number, {}).items() if kind == "folder" else ():
            self._lay(child, f"{path}/{name}" if path else name, content, entries, state)


def _torn(old: bytes, new: bytes, part: float) -> bytes:
    sizes = range(min(len(old), len(new)) + 1)
    same = bisect_left(sizes, 1, key=lambda size: int(old[:size] != new[:size])) - 1
    come = same + int((len(new) - same) * max(part, 0))
    return new[:come] + (bytes(len(new) - come) if part < 0 else b"")


def _touched(event: Write | Naming) -> set[int]:
    return {event.node} if isinstance(event, Write) else {folder for folder, _name, _child in event.changes}


def _apply(event: Write | Naming, content: dict[int, bytes], entries: dict[int, dict[str, int]]) -> None:
    if isinstance(event, Write):
        content[event.node] = event.content
        return
    for folder, name, child in event.changes:
        if child is None:
            entries.setdefault(folder, {}).pop(name, None)
        else:
            entries.setdefault(folder, {})[name] = child


def states(recording: Recording, mixtures: int, seed: int = 1, since: int = 0) -> Iterator[tuple[int, State]]:
    """Every tree that a cut after any event can leave: nothing lost, all lost that may be, names without what was
    written, and so many random mixtures with torn writes. Each tree once, with the number of its event, from
    `since` on.
    """
    dice, seen, disk = random.Random(seed), set[int](), Disk(recording)

    def mixed(event: Write | Naming) -> bool | float:
        if dice.random() < 0.5:
            return False
        is_torn = isinstance(event, Write) and dice.random() < 0.4
        return dice.choice([0.0, 0.5, -0.5]) if is_torn else True

    ways: list[Callable[[Write | Naming], bool | float]] = [
        lambda _event: True,
        lambda _event: False,
        lambda event: isinstance(event, Naming),
        *[mixed] * mixtures,
    ]
    for number, event in enumerate(recording.events):
        disk.step(event)
        if number < since:
            continue
        for way in ways if disk.pending else ways[:1]:
            state = disk.after_a_cut(way)
            name = hash(frozenset(state.items()))
            if name not in seen:
                seen.add(name)
                yield number, state


def lay_down(state: State, folder: Path) -> Path:
    """Make the tree anew in an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    for path, (kind, mode, content) in state.items():
        place = folder / path if path else folder
        if kind == "folder":
            place.mkdir(parents=True, exist_ok=True)
        elif kind == "link":
            place.symlink_to(os.fsdecode(content))
        else:
            place.write_bytes(content)
            place.chmod(mode)
    return folder
