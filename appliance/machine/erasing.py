"""Back to the day of delivery: first the keys, so that nothing stored can be read any more, then what they had opened.

The wish is a file in the data folder. It goes last, so whatever interrupts this, the next start goes on with it.
"""

import os
import secrets
import shutil
from pathlib import Path
from typing import Final

from appliance import durable

WISH: Final = "erasing"
KEYS: Final = ("vault.json", "vault.json.new", "dev-passphrase")
"""What opens everything else: the wrapped master key, and in development the passphrase."""
STAYS: Final = ("hako.toml", "models", "releases", "run", WISH)
"""The settings, and what came from publishers; nothing of people's. `run` goes with the processes that use it."""
EMPTIED: Final = ("shared", "log")
"""Their folders are the system's to make."""


def wish(data_dir: Path) -> None:
    """From here on there is no way back. Raises OSError, DiskFullError."""
    durable.replace(data_dir / WISH, b"")


def is_wished(data_dir: Path) -> bool:
    """Whether an erasure was begun and has not ended."""
    return (data_dir / WISH).exists()


def forget(data_dir: Path) -> None:
    """The wish could not be passed on, and nothing was touched."""
    (data_dir / WISH).unlink(missing_ok=True)


def destroy_keys(data_dir: Path) -> None:
    """Write over them and remove them; what they had opened is noise from here on."""
    for name in KEYS:
        path = data_dir / name
        if path.is_symlink() or not path.exists():
            path.unlink(missing_ok=True)
            continue
        with path.open("r+b") as file:
            size = os.fstat(file.fileno()).st_size
            file.write(secrets.token_bytes(size))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
    durable.sync(data_dir)


def erase(data_dir: Path) -> None:
    """The keys, then everything but `STAYS`. No process of the box may run. Can be repeated at any point."""
    wish(data_dir)
    destroy_keys(data_dir)
    for path in sorted(data_dir.iterdir()):
        if path.name in EMPTIED and path.is_dir() and not path.is_symlink():
            for each in sorted(path.iterdir()):
                _remove(each)
        elif path.name not in STAYS:
            _remove(path)
    durable.sync(data_dir)
    (data_dir / WISH).unlink()
    durable.sync(data_dir)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
