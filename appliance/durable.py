"""Files that survive a power cut: pushed to the disk, put in place whole, and a full disk told as what it is."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EDQUOT, ENOSPC
from pathlib import Path

from appliance import modes
from appliance.errors import DiskFullError


def sync(path: Path) -> None:
    """Push a file, or the entries of a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def folder(path: Path) -> None:
    """Make a folder, as private as the box's, and what is missing on the way to it; no power cut takes them away again.

    Raises:
        OSError: as `Path.mkdir`.
    """
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=modes.folder(), exist_ok=True)
        sync(each.parent)


@contextmanager
def alone(lock: Path, *, mode: int | None = None) -> Iterator[None]:
    """Nobody else does meanwhile what this lock is for; who else wants to waits. Its folder is made where missing.

    `mode`: of the lock, instead of what the box's own files have.

    Raises:
        OSError: it can't be opened, or is a link.
    """
    folder(lock.parent)
    flags = os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC  # root without powers can't write what is 0400
    descriptor = os.open(lock, flags, modes.file() if mode is None else mode)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def replace(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Put `content` in the file's place, private: after a power cut it is the old file or the new one, never half.

    `mode`: instead of what the box's own files have.

    Raises:
        DiskFullError: no room; the old file is as it was.
    """
    part = path.with_name(path.name + ".new")
    with told_when_full():
        try:
            part.unlink(missing_ok=True)  # left by a crash
            descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, modes.file())
            with os.fdopen(descriptor, "wb") as target:
                target.write(content)
                target.flush()
                if mode is not None:
                    os.fchmod(target.fileno(), mode)
                os.fsync(target.fileno())
            part.rename(path)
            sync(path.parent)
        except OSError:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise


@contextmanager
def told_when_full() -> Iterator[None]:
    """Turn the system's "no room" into DiskFullError; other failures pass unchanged."""
    try:
        yield
    except OSError as error:
        if error.errno in (ENOSPC, EDQUOT):
            raise DiskFullError(str(error)) from error
        raise
