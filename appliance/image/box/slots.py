"""The two slots as the loader sees them: kernels with their tries, partitions, and whether the running one is sound."""

import hashlib
import math
import os
import re
import shutil
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from appliance import durable
from appliance.errors import ImageStepError
from appliance.image import layout
from appliance.image.box import disks
from appliance.image.box.disks import Disk
from appliance.image.layout import MIB, TRIES

SYSTEM: Final = Path("/dev/mapper/hako-root")
STATE: Final = Path("/run/hako-root/slots")
"""One line for the console."""
_MOUNT: Final = Path("/run/hako-root/esp")
_NAME: Final = re.compile(r"hako-([ab])(\+\d+(-\d+)?)?\.efi")
_ANSWER: Final = "https://127.0.0.1/api/v1/state"
_LOOK_S: Final = 5.0


def wait(answers: Callable[[], bool], sleep: Callable[[float], None], within_s: float = math.inf) -> bool:
    """Until the box answers; as long as it takes if nothing else is said. Whether it has."""
    until = time.monotonic() + within_s
    while not answers():
        if time.monotonic() >= until:
            return False
        sleep(_LOOK_S)
    return True


def read_all(system: Path) -> int:
    """Every block, checked by the kernel on the way: a changed one restarts the machine. Bytes read."""
    total = 0
    with system.open("rb", buffering=0) as source:
        while piece := source.read(MIB):
            total += len(piece)
    return total


def entry(esp: Path, slot: str) -> Path | None:
    """The kernel of a slot as the loader sees it, with its tries in its name."""
    for path in sorted((esp / "EFI" / "Linux").glob("*.efi")):
        found = _NAME.fullmatch(path.name)
        if found and found.group(1) == slot:
            return path
    return None


def is_armed(esp: Path, slot: str) -> bool:
    """Whether the loader would start it: it is there and has a try left."""
    path = entry(esp, slot)
    return path is not None and "+0" not in path.name


def rearm(esp: Path, slot: str) -> None:
    """Give a slot that runs well its tries back; one name to another, which a power cut leaves as it was or is."""
    path = entry(esp, slot)
    wanted = f"hako-{slot}+{TRIES}.efi"
    if path is None:
        arm(esp, slot)
    elif path.name != wanted:
        path.rename(path.with_name(wanted))
        durable.sync(path.parent)


def arm(esp: Path, slot: str) -> None:
    """The slot's kernel from where it is kept; one that has lost its tries goes."""
    put(esp, slot, esp / "EFI" / "hako" / f"{slot}.efi")


def put(esp: Path, slot: str, kernel: Path) -> None:
    """Let the loader start this kernel, with all tries, instead of what it would start of this slot.

    Raises:
        DiskFullError: no room; what there was may be gone.
    """
    folder = esp / "EFI" / "Linux"
    fresh = folder / f"hako-{slot}.new"
    with durable.told_when_full():
        fresh.unlink(missing_ok=True)
        strike(esp, slot, but=True)
        _copied(kernel, fresh)
        strike(esp, slot)
        fresh.rename(folder / f"hako-{slot}+{TRIES}.efi")
        durable.sync(folder)


def strike(esp: Path, slot: str, *, but: bool = False) -> None:
    """Let the loader start nothing of this slot. `but`: leave what it might still start."""
    folder = esp / "EFI" / "Linux"
    for path in sorted(folder.glob("*.efi")):
        found = _NAME.fullmatch(path.name)
        if found and found.group(1) == slot and not (but and "+0" not in path.name):
            path.unlink()
    durable.sync(folder)


def replace(kernel: Path, target: Path, *, room: bool = False) -> None:
    """Put a kernel where it is kept. `room`: there is enough for both, so the old one goes last; else first."""
    fresh = target.with_suffix(".new")
    with durable.told_when_full():
        fresh.unlink(missing_ok=True)
        if not room:
            target.unlink(missing_ok=True)
        _copied(kernel, fresh)
        fresh.rename(target)
        durable.sync(target.parent)


def _copied(kernel: Path, target: Path) -> None:
    """On the disk when this returns, and read back from there. Raises ImageStepError: it isn't the same."""
    shutil.copyfile(kernel, target)
    durable.sync(target)
    with kernel.open("rb") as wanted, target.open("rb") as written:
        os.posix_fadvise(written.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        if hashlib.file_digest(wanted, "sha256").digest() != hashlib.file_digest(written, "sha256").digest():
            raise ImageStepError(target.name, step="kernel")


def copy(disk: Disk, slot: str, other: str, system: Path) -> None:
    """System and tree, byte by byte. The system is read through the kernel's check."""
    for source, target in (
        (system, disk.partitions[layout.root(other)].device),
        (disk.partitions[layout.verity(slot)].device, disk.partitions[layout.verity(other)].device),
    ):
        with source.open("rb", buffering=0) as from_, target.open("r+b", buffering=0) as to:
            while piece := from_.read(MIB):
                to.write(piece)
        durable.sync(target)


@contextmanager
def mounted(disk: Disk) -> Iterator[Path]:
    """The firmware's partition, mounted for as long as it takes."""
    _MOUNT.mkdir(mode=0o755, exist_ok=True)
    subprocess.run(["umount", _MOUNT], check=False, capture_output=True)  # somebody was killed
    options = "rw,nosuid,nodev,noexec,sync,umask=0077"
    disks.run("mount", "-t", "vfat", "-o", options, disk.partitions[layout.ESP].device, _MOUNT)
    try:
        yield _MOUNT
    finally:
        subprocess.run(["umount", _MOUNT], check=False)


def answers() -> bool:
    """What it says doesn't matter, and on this machine's own address nobody else can answer."""
    try:
        with urllib.request.urlopen(_ANSWER, timeout=60, context=ssl._create_unverified_context()) as response:  # noqa: S323, SLF001
            return bool(response.status)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def tell(state: str) -> None:
    """For the console, and for the journal."""
    STATE.write_text(f"{disks.running_slot()}: {state}\n", "utf-8")
    sys.stdout.write(f"slot {disks.running_slot()} {state}\n")
    sys.stdout.flush()
