"""Writes an image to a whole disk or stick, after a look that nothing of this machine is on it, and reads it back."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from appliance.errors import TargetDiskError

_PIECE: Final = 4 << 20


def main(image: Path, disk: Path, *, agreed: bool, say: Callable[[str], None]) -> int:
    """0 once all of it was written and read back.

    Raises:
        TargetDiskError: not a whole disk, too small, in use, or nobody has agreed; nothing was written.
    """
    size = image.stat().st_size
    check(disk, size)
    if not agreed:
        raise TargetDiskError(f"everything on {disk} would be lost: add --yes", name=str(disk), reason="not agreed")
    wanted = write(image, disk)
    if (found := digest(disk, size)) != wanted:
        raise TargetDiskError(f"{found} instead of {wanted}", name=str(disk), reason="read back differently")
    say(f"{disk}: {size / 1e6:.0f} MB written and read back, sha256 {wanted}")
    return 0


def check(disk: Path, size: int, sys: Path = Path("/sys"), mounts: Path = Path("/proc/self/mounts")) -> None:
    """Whether an image of so many bytes may go there.

    Raises:
        TargetDiskError: with the reason.
    """
    block = sys / "class" / "block" / disk.resolve().name
    if not block.is_dir():
        raise TargetDiskError("not a block device", name=str(disk), reason="no disk")
    if (block / "partition").exists():
        raise TargetDiskError("a partition; name the whole disk", name=str(disk), reason="partition")
    if int((block / "size").read_text("ascii")) * 512 < size:
        raise TargetDiskError(f"{size} bytes are needed", name=str(disk), reason="too small")
    own = {block.name, *(each.name for each in block.iterdir() if (each / "partition").exists())}
    used = {Path(line.split()[0]).name for line in mounts.read_text("utf-8").splitlines() if line.startswith("/dev/")}
    held = {name for name in own for folder in (sys / "class" / "block" / name / "holders",) if _any(folder)}
    if busy := sorted(own & used | held):
        raise TargetDiskError(", ".join(busy), name=str(disk), reason="in use")


def write(image: Path, disk: Path) -> str:
    """All of it, pushed to the disk; its sha256."""
    seen = hashlib.sha256()
    with image.open("rb") as source, disk.open("r+b", buffering=0) as target:
        while piece := source.read(_PIECE):
            seen.update(piece)
            view = memoryview(piece)
            while view:
                view = view[target.write(view) :]
        os.fsync(target.fileno())
        os.posix_fadvise(target.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return seen.hexdigest()


def digest(disk: Path, size: int) -> str:
    """sha256 of so many bytes from its beginning, read from the disk itself."""
    seen = hashlib.sha256()
    with disk.open("rb", buffering=0) as source:
        while size and (piece := source.read(min(_PIECE, size))):
            seen.update(piece)
            size -= len(piece)
    return seen.hexdigest()


def _any(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())
