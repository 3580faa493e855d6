"""The disk image: a GPT with the firmware's partition and the first slot; the rest is made by the machine itself."""

import os
from pathlib import Path
from typing import Final

from appliance.errors import ImageStepError
from appliance.image import layout, slot, tools
from appliance.image.layout import MIB, TRIES, Partition
from appliance.image.slot import Slot

LOADER_SETTINGS: Final = "timeout 0\neditor no\nauto-entries no\nauto-firmware no\n"
_VOLUME: Final = "48414B4F"
_TAIL_MIB: Final = 1
"""For the second copy of the table."""


def write(parts: list[Partition], filled: Slot, out: Path) -> None:
    """Put the image together, whole or not at all.

    Raises:
        ImageStepError: a tool is missing or has failed, or the system is larger than its slot.
    """
    esp, root, tree = parts[:3]
    for partition, file in ((root, filled.system), (tree, filled.verity)):
        if file.stat().st_size > partition.size * MIB:
            raise ImageStepError(f"{file.name}: {file.stat().st_size} bytes", step="slot size")
    fresh = out.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with fresh.open("wb") as disk:
        disk.truncate((tree.start + tree.size + _TAIL_MIB) * MIB)
    tools.run(
        "partitions", ["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", fresh], text=layout.table(parts[:3])
    )
    firmware = out.with_suffix(".esp")
    _esp(esp, filled, firmware)
    for partition, file in ((esp, firmware), (root, filled.system), (tree, filled.verity)):
        _place(file, fresh, partition.start * MIB)
    firmware.unlink()
    fresh.rename(out)


def _esp(partition: Partition, filled: Slot, out: Path) -> None:
    """The loader, the first slot's kernel with its tries, and both kernels to be put there again."""
    out.unlink(missing_ok=True)
    tools.run("firmware's partition", ["mkfs.vfat", "--invariant", "-F", "32", "-i", _VOLUME, "-n", "HAKO", "-C", out,
                                       str(partition.size * 1024)])  # fmt: skip
    settings = out.with_suffix(".conf")
    settings.write_text(LOADER_SETTINGS, "ascii")
    folders = ("EFI", "EFI/BOOT", "EFI/Linux", "EFI/hako", "loader")
    files = {
        "EFI/BOOT/BOOTX64.EFI": slot.LOADER,
        "loader/loader.conf": settings,
        f"EFI/Linux/hako-a+{TRIES}.efi": filled.kernels["a"],
        "EFI/hako/a.efi": filled.kernels["a"],
        "EFI/hako/b.efi": filled.kernels["b"],
    }
    for folder in folders:
        tools.run("firmware's partition", ["mmd", "-i", out, f"::{folder}"], frozen=True)
    for name, file in files.items():
        tools.run("firmware's partition", ["mcopy", "-i", out, file, f"::{name}"], frozen=True)
    settings.unlink()


def _place(source: Path, disk: Path, at: int) -> None:
    """Holes stay holes, so the image takes no more room than what is in it."""
    with source.open("rb") as file, disk.open("r+b") as target:
        while piece := file.read(MIB):
            if piece.count(0) != len(piece):
                os.pwrite(target.fileno(), piece, at)
            at += len(piece)


def taken(image: Path) -> int:
    """Bytes that an image takes on a disk that knows holes."""
    return image.stat().st_blocks * 512
