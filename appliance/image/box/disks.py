"""The disk that this machine was started from, and its partitions, read where the kernel tells them."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.errors import ImageStepError

SYSTEM: Final = "hako-root"
"""The device mapper's name of the system that runs."""


@dataclass(frozen=True)
class Partition:
    """`device` below /dev; `number` in the disk's table; `sectors` of 512 bytes."""

    device: Path
    number: int
    sectors: int


@dataclass(frozen=True)
class Disk:
    """A whole disk and its partitions by name."""

    device: Path
    partitions: dict[str, Partition]


def run(*words: str | Path, text: str | None = None, secret: bytes | None = None) -> str:
    """What a tool printed; `secret` goes to its standard input.

    Raises:
        ImageStepError: it has failed.
    """
    given = secret if secret is not None else (text or "").encode()
    done = subprocess.run([str(word) for word in words], input=given, capture_output=True, check=False)
    if done.returncode:
        raise ImageStepError(done.stderr[-500:].decode("utf-8", "replace"), step=str(words[0]))
    return done.stdout.decode("utf-8", "replace")


def started_from(root: Path = Path("/")) -> Disk:
    """The disk below the system's own mapping: another one with the same names, such as a stick, is never meant.

    Raises:
        ImageStepError: this machine was not started from an image.
    """
    below = root / "sys" / "class" / "block"
    for mapped in sorted(below.glob("dm-*")):
        if _word(mapped / "dm" / "name") != SYSTEM:
            continue
        for slave in sorted((mapped / "slaves").iterdir()):
            parent = (below / slave.name).resolve().parent
            if (parent / slave.name).is_dir():
                return of(parent, root)
    raise ImageStepError("no system of an image is running", step="disk")


def of(block: Path, root: Path = Path("/")) -> Disk:
    """As the kernel tells it; `block` is its folder in /sys."""
    found = {}
    for entry in sorted(block.iterdir()):
        if (entry / "partition").is_file():
            said = dict(
                line.split("=", 1) for line in (entry / "uevent").read_text("utf-8").splitlines() if "=" in line
            )
            number, sectors = int(_word(entry / "partition")), int(_word(entry / "size"))
            found[said.get("PARTNAME", entry.name)] = Partition(root / "dev" / entry.name, number, sectors)
    return Disk(root / "dev" / block.name, found)


def running_slot(cmdline: str | None = None) -> str:
    """`a` or `b`, as the kernel was told."""
    words = (cmdline if cmdline is not None else Path("/proc/cmdline").read_text("ascii")).split()
    return next((word.removeprefix("hako.slot=") for word in words if word.startswith("hako.slot=")), "")


def _word(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except OSError:
        return ""
