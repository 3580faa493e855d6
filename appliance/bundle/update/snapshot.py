"""A copy of what a migration can change, taken while no part of the box runs, and put back the same way.

The files are copied as they lie: the database stays encrypted, and no key is needed for it.
"""

import os
import shutil
from pathlib import Path
from typing import Final

from appliance import durable, modes

DATABASE: Final = "hako.db"
_LOGS: Final = (f"{DATABASE}-wal", f"{DATABASE}-shm")
"""What SQLite keeps beside: the first belongs to the content, the second is made anew."""
_CONFIRMED: Final = Path("audit") / "checkpoints"
"""Confirms what is in the audit log, so that it goes back with the database."""


def size(data: Path) -> int:
    """Bytes that a snapshot takes."""
    return sum((data / place).stat().st_size for place in _meant(data))


def take(data: Path, snapshot: Path) -> None:
    """Copy; it has its name only when all of it is on the disk.

    Raises:
        DiskFullError: no room; nothing is left of it.
    """
    fresh = snapshot.with_name(snapshot.name + ".new")
    _remove(fresh)
    _remove(snapshot)
    try:
        with durable.told_when_full():
            fresh.mkdir(mode=modes.folder(), parents=True)
            for place in _meant(data):
                _copy(data / place, fresh / place)
            durable.sync(fresh)
            fresh.rename(snapshot)
            durable.sync(snapshot.parent)
    except BaseException:
        _remove(fresh)
        raise


def restore(data: Path, snapshot: Path) -> None:
    """Put everything back. Cut off in the middle, it is simply done again.

    Raises:
        FileNotFoundError: there is no snapshot.
    """
    kept = {path.relative_to(snapshot): path for path in sorted(snapshot.rglob("*")) if path.is_file()}
    if Path(DATABASE) in kept:
        # First the log that belongs to what will be replaced: with the old file it would be taken for its own.
        for name in _LOGS:
            (data / name).unlink(missing_ok=True)
        durable.sync(data)
    with durable.told_when_full():
        for place, path in kept.items():
            fresh = data / place.with_name(f"{place.name}.restored")
            _copy(path, fresh)
            fresh.rename(data / place)
    for place in _meant(data):
        if place not in kept:
            (data / place).unlink()
    for folder in {data, *((data / place).parent for place in kept)}:
        durable.sync(folder)


def drop(snapshot: Path) -> None:
    """It is not needed any more."""
    _remove(snapshot)
    _remove(snapshot.with_name(snapshot.name + ".new"))


def _meant(data: Path) -> list[Path]:
    """The database with its log, the vault, and the small files in which the box keeps its lists; from `data` on."""
    names = {DATABASE, _LOGS[0]}
    places = [Path(path.name) for path in data.iterdir() if path.name in names or path.suffix == ".json"]
    places += [path.relative_to(data) for path in data.glob("shared/*.json")]
    return sorted(place for place in [*places, _CONFIRMED] if (data / place).is_file())


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(mode=modes.folder(), exist_ok=True)
    target.unlink(missing_ok=True)
    descriptor = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, modes.file())
    with source.open("rb") as read, os.fdopen(descriptor, "wb") as put:
        shutil.copyfileobj(read, put, 1 << 20)
        put.flush()
        os.fsync(put.fileno())
    durable.sync(target.parent)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
