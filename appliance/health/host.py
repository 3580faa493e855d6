"""The computer as checks see it: files below a root and programs with a time limit, both exchangeable in tests."""

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PROGRAM_S: Final = 10.0
_MAX_BYTES: Final = 1 << 20

Run = Callable[[Sequence[str]], str | None]


@dataclass(frozen=True)
class Disk:
    """Of the file system that holds a folder, in bytes and inodes. `free` is what the box's own accounts may take."""

    total: int
    free: int
    inodes: int
    inodes_free: int


def run_program(command: Sequence[str]) -> str | None:
    """Its output, whatever it exits with; None when it isn't there, can't run or hangs longer than 10 s."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=PROGRAM_S,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout[:_MAX_BYTES].decode("utf-8", "replace")


def disk_of(folder: Path) -> Disk | None:
    """None when the folder can't be asked."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    size = found.f_frsize
    return Disk(found.f_blocks * size, found.f_bavail * size, found.f_files, found.f_favail)


@dataclass(frozen=True)
class Host:
    """`root` is / on a real machine and a folder with recorded /proc, /sys and /etc in tests."""

    root: Path = Path("/")
    run: Run = run_program
    disk: Callable[[Path], Disk | None] = field(default=disk_of)

    def read(self, path: str) -> str | None:
        """A file's text without the white space around it, at most 1 MiB; None when it can't be read."""
        try:
            with (self.root / path.lstrip("/")).open("rb") as file:
                return file.read(_MAX_BYTES).decode("utf-8", "replace").strip()
        except OSError:
            return None

    def number(self, path: str) -> int | None:
        """A file that holds one whole number; None for anything else."""
        text = self.read(path)
        try:
            return None if text is None else int(text, 0)
        except ValueError:
            return None

    def glob(self, pattern: str) -> list[Path]:
        """Sorted paths below the root, as paths of the machine (`/sys/…`)."""
        try:
            return sorted(Path("/") / found.relative_to(self.root) for found in self.root.glob(pattern.lstrip("/")))
        except OSError:
            return []
