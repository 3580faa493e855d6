"""The disk that this machine was started from, and its partitions, read where the kernel tells them."""

import json
import re
import subprocess
from collections.abc import Callable
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


def started_from(root: Path = Path("/"), table: Callable[[Path], str] | None = None) -> Disk:
    """The disk below the system's own mapping: another one with the same names, such as a stick, is never meant.

    Names are read from the disk itself (`table`): the kernel knows none of partitions that were added while it runs.

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
                device = Path("/dev") / parent.name
                return Disk(device, read_table((table or _table)(device)))
    raise ImageStepError("no system of an image is running", step="disk")


def read_table(said: str) -> dict[str, Partition]:
    """Partitions by name, of what `sfdisk --json` says."""
    found = {}
    for entry in json.loads(said)["partitiontable"]["partitions"]:
        node = str(entry["node"])
        number = int(re.sub(r".*?(\d+)$", r"\1", node))
        found[str(entry.get("name", ""))] = Partition(Path(node), number, int(entry["size"]))
    return found


def _table(device: Path) -> str:
    return run("sfdisk", "--json", device)


def running_slot(cmdline: str | None = None) -> str:
    """`a` or `b`, as the kernel was told."""
    words = (cmdline if cmdline is not None else Path("/proc/cmdline").read_text("ascii")).split()
    return next((word.removeprefix("hako.slot=") for word in words if word.startswith("hako.slot=")), "")


def running_digest(cmdline: str | None = None) -> str:
    """The root of the tree over the system that runs, as the kernel was told."""
    words = (cmdline if cmdline is not None else Path("/proc/cmdline").read_text("ascii")).split()
    return next((word.removeprefix("hako.hash=") for word in words if word.startswith("hako.hash=")), "")


def _word(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except OSError:
        return ""
