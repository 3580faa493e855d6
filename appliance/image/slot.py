"""One slot: the root file system as squashfs, the tree of digests over it, and the kernel that demands their root."""

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance import __version__
from appliance.errors import ImageStepError
from appliance.image import tools
from appliance.image.layout import SLOTS

STUB: Final = Path("/usr/lib/systemd/boot/efi/linuxx64.efi.stub")
LOADER: Final = Path("/usr/lib/systemd/boot/efi/systemd-bootx64.efi")
KERNEL: Final = (
    "root=/dev/mapper/hako-root", "rootfstype=squashfs", "ro", "console=ttyS0,115200", "console=tty0", "quiet",
    "loglevel=4", "panic=10", "systemd.gpt_auto=no", "systemd.getty_auto=no", "systemd.show_status=no",
    "rd.shell=0", "lockdown=integrity", "slab_nomerge", "init_on_alloc=1", "randomize_kstack_offset=on",
    "vsyscall=none", "page_alloc.shuffle=1",
)  # fmt: skip
"""Words for the kernel of every image."""
NUMBER: Final = 1
"""Of the system: raise it for each that is published, whatever has changed in it."""
SPARE: Final = "~spare"
"""Behind the version of the second slot's copy: the loader sorts it after the first."""
_SALT: Final = "68616b6f" * 8
"""Fixed, for an image must be the same each time; what it is over is public."""
_UUID: Final = "68616b6f-0000-4000-8000-0000000000ff"
_HASH: Final = re.compile(r"^Root hash:\s+([0-9a-f]{64})$", re.MULTILINE)
_ALIGN: Final = 4096


@dataclass(frozen=True)
class Slot:
    """`digest` is the root of the tree `verity` over `system`; `kernels` by the name of their slot."""

    system: Path
    verity: Path
    digest: str
    kernels: dict[str, Path]


def build(tar: Path, vmlinuz: Path, initrd: Path, more: Sequence[str], work: Path, number: int = NUMBER) -> Slot:
    """From the root's tar. `more`: words for the kernel; `number`: of the system.

    Raises:
        ImageStepError: a tool is missing or has failed.
    """
    system, verity = work / "root.squashfs", work / "root.verity"
    command = f'exec tar2sqfs -q -f -c zstd -X level=9 -b 256K -j 2 "{system}" < "{tar}"'
    tools.run("squashfs", ["sh", "-c", command])
    verity.unlink(missing_ok=True)
    said = tools.run("verity", ["veritysetup", "format", f"--salt={_SALT}", f"--uuid={_UUID}", system, verity])
    found = _HASH.search(said)
    if found is None:
        raise ImageStepError(said[-500:], step="verity")
    digest = found.group(1)
    kernels = {}
    for slot in SLOTS:
        kernels[slot] = work / f"hako-{slot}.efi"
        _unified(vmlinuz, initrd, command_line(slot, digest, more), release(slot, number), kernels[slot])
    return Slot(system, verity, digest, kernels)


def command_line(slot: str, digest: str, more: Sequence[str] = ()) -> str:
    """What the kernel of this slot is told."""
    return " ".join([*KERNEL, f"hako.slot={slot}", f"hako.hash={digest}", *more])


def release(slot: str, number: int = NUMBER, version: str = __version__) -> str:
    """What the loader reads of a kernel: the highest number first, of two the same the one that is no spare."""
    spare = "" if slot == SLOTS[0] else SPARE
    name = f"Hako {version}, system {number} ({slot})"
    return f'ID=hako\nIMAGE_ID=hako\nIMAGE_VERSION="{number}.{version}{spare}"\nPRETTY_NAME="{name}"\n'


def _unified(vmlinuz: Path, initrd: Path, cmdline: str, os_release: str, out: Path) -> None:
    """Kernel, first stage and command line in one file for the firmware, behind systemd's stub."""
    parts = {".osrel": os_release.encode(), ".cmdline": cmdline.encode() + b"\0"}
    texts = {}
    for name, content in parts.items():
        texts[name] = out.with_suffix(name)
        texts[name].write_bytes(content)
    address = _end_of(STUB)
    words: list[str | Path] = ["objcopy"]
    for name, path in {**texts, ".linux": vmlinuz, ".initrd": initrd}.items():
        words += ["--add-section", f"{name}={path}", "--change-section-vma", f"{name}=0x{address:x}"]
        address += -(-path.stat().st_size // _ALIGN) * _ALIGN
    tools.run("kernel", [*words, STUB, out], frozen=True)
    for path in texts.values():
        path.unlink()


def _end_of(stub: Path) -> int:
    """The first free address behind a PE file's own sections."""
    try:
        content = stub.read_bytes()
    except OSError as error:
        raise ImageStepError(f"{error}; on Debian: apt-get install systemd-boot-efi", step="kernel") from error
    head = struct.unpack_from("<I", content, 0x3C)[0]
    count, optional = struct.unpack_from("<H", content, head + 6)[0], struct.unpack_from("<H", content, head + 20)[0]
    base = struct.unpack_from("<Q", content, head + 24 + 24)[0]
    end = 0
    for index in range(count):
        size, address = struct.unpack_from("<II", content, head + 24 + optional + 40 * index + 8)
        end = max(end, address + size)
    return int(base) + -(-end // _ALIGN) * _ALIGN
