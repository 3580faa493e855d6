"""Runs the tools that make an image, always with the same clock and words, and says which one has failed."""

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from appliance import RELEASED
from appliance.errors import ImageStepError

EPOCH: Final = RELEASED
"""The date of everything in an image: that of the release, so that two of the same inputs are equal."""
NEEDED: Final = {
    "mmdebstrap": "mmdebstrap", "tar2sqfs": "squashfs-tools-ng", "veritysetup": "cryptsetup-bin", "sfdisk": "fdisk",
    "mkfs.vfat": "dosfstools", "mcopy": "mtools", "objcopy": "binutils", "faketime": "faketime",
}  # fmt: skip
"""Each with the package of Debian that brings it."""
_READ_BYTES: Final = 1 << 20


def missing(needed: Mapping[str, str] = NEEDED) -> list[str]:
    """Packages of Debian that this machine still needs."""
    return sorted({package for tool, package in needed.items() if shutil.which(tool) is None})


def run(step: str, command: Sequence[str | Path], *, frozen: bool = False, text: str | None = None) -> str:
    """What it printed. `frozen`: the tool sees the release's date as today; `text`: for its standard input.

    Raises:
        ImageStepError: it isn't there, or has failed; the last of what it said is the detail.
    """
    words = [str(word) for word in command]
    if frozen:
        words = ["faketime", "-f", f"@{_date()}", *words]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LC_", "LANG"))},
        "SOURCE_DATE_EPOCH": str(EPOCH),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin",
    }
    try:
        done = subprocess.run(
            words, input=text, capture_output=True, text=True, errors="replace", env=environment, check=False
        )
    except OSError as error:
        raise ImageStepError(str(error), step=step) from error
    if done.returncode:
        raise ImageStepError((done.stderr + done.stdout)[-2000:], step=step)
    return done.stdout


def _date() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(EPOCH))


def sha256(path: Path) -> str:
    """Of a whole file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while piece := source.read(_READ_BYTES):
            digest.update(piece)
    return digest.hexdigest()
