"""Whether this start has succeeded, and with it which slot comes next; keeps the other slot as good as this one.

The loader counts: each start takes one of a slot's tries. They are given back when the box answers and every block of
the slot was read; a slot that a damage has changed never gets so far, and the other one is started after three tries.
"""

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
from appliance.image import layout
from appliance.image.box import disks
from appliance.image.box.disks import Disk
from appliance.image.layout import MIB, SLOTS, TRIES

SYSTEM: Final = Path("/dev/mapper/hako-root")
STATE: Final = Path("/run/hako-root/slots")
"""One line for the console."""
_MOUNT: Final = Path("/run/hako-root/esp")
_NAME: Final = re.compile(r"hako-([ab])(\+\d+(-\d+)?)?\.efi")
_ANSWER: Final = "https://127.0.0.1/api/v1/state"
_LOOK_S: Final = 5.0


def main() -> int:
    """Once after each start."""
    slot = disks.running_slot()
    if slot not in SLOTS:
        return 0
    _tell("is being checked")
    wait(_answers, time.sleep)
    read_all(SYSTEM)
    disk = disks.started_from()
    with _esp(disk) as esp:
        rearm(esp, slot)
        other = SLOTS[1 - SLOTS.index(slot)]
        if is_armed(esp, other):
            _tell("sound, and so was the other one")
            return 0
        _tell("sound; is being copied to the other one")
        copy(disk, slot, other, SYSTEM)
        arm(esp, other)
    _tell("sound, and copied to the other one")
    return 0


def wait(answers: Callable[[], bool], sleep: Callable[[float], None]) -> None:
    """Until the box answers; as long as it takes, for somebody may have to open it first."""
    while not answers():
        sleep(_LOOK_S)


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
    folder = esp / "EFI" / "Linux"
    fresh = folder / f"hako-{slot}.new"
    shutil.copyfile(esp / "EFI" / "hako" / f"{slot}.efi", fresh)
    durable.sync(fresh)
    old = entry(esp, slot)
    if old is not None:
        old.unlink()
    fresh.rename(folder / f"hako-{slot}+{TRIES}.efi")
    durable.sync(folder)


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
def _esp(disk: Disk) -> Iterator[Path]:
    """The firmware's partition, mounted for as long as it takes."""
    _MOUNT.mkdir(mode=0o755, exist_ok=True)
    options = "rw,nosuid,nodev,noexec,sync,umask=0077"
    disks.run("mount", "-t", "vfat", "-o", options, disk.partitions[layout.ESP].device, _MOUNT)
    try:
        yield _MOUNT
    finally:
        subprocess.run(["umount", _MOUNT], check=False)


def _answers() -> bool:
    """What it says doesn't matter, and on this machine's own address nobody else can answer."""
    try:
        with urllib.request.urlopen(_ANSWER, timeout=60, context=ssl._create_unverified_context()) as response:  # noqa: S323, SLF001
            return bool(response.status)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _tell(state: str) -> None:
    STATE.write_text(f"{disks.running_slot()}: {state}\n", "utf-8")
    sys.stdout.write(f"slot {disks.running_slot()} {state}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
