"""Starts an image in an emulator and does with it what its first owner does; then what must not hurt it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from appliance.errors import BootTestError
from appliance.image import emulator, layout
from appliance.image.emulator import Machine, Tpm
from appliance.image.layout import MIB
from appliance.image.visitor import Visitor

PARTS: Final = ("first-hour", "verity", "tpm")
PASSPHRASE: Final = "lanterns along the canal"  # noqa: S105 - of machines that live for minutes
_BOOT_S: Final = 1500.0
_SETTLE_S: Final = 5.0
"""For what was written a moment ago: the machine is then cut off."""
_FOLDER: Final = Path(".build/image/boot-test")
_KEY: Final = r"recovery key of this machine's disk: ([a-z-]{71})\s"


class _Times:
    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._say(f"{name}: {time.monotonic() - began:.0f} s")


def main(image: Path, parts: set[str], say: Callable[[str], None]) -> int:
    """0 if all asked parts went well; all of them when none is named.

    Raises:
        BootTestError: the image hasn't done what it should; the console's last words are the detail.
        ImageStepError: the emulator isn't installed.
    """
    times, wanted = _Times(say), parts or set(PARTS)
    base = _FOLDER.absolute() / time.strftime("%H%M%S")
    say(f"{image.name}: {image.stat().st_size / 1e6:.0f} MB; two emulated cores, no KVM; files in {base}")
    if wanted & {"first-hour", "verity"}:
        machine = Machine(image, base / "plain")
        first_hour(machine, times)
        if "verity" in wanted:
            verity(machine, times)
    if "tpm" in wanted:
        tpm(image, base, times)
    return 0


def first_hour(machine: Machine, times: _Times) -> None:
    """A machine without a TPM: passphrase, vault, set-up over the network, a document, a cited answer, a restart."""
    with machine, times.step("all of it"):
        with times.step("power to the question for a passphrase"):
            machine.expect("New passphrase for this machine's disk", _BOOT_S)
        machine.send(PASSPHRASE)
        machine.expect("The same passphrase again", _BOOT_S)
        machine.send(PASSPHRASE)
        with times.step("passphrase to the console"):
            machine.expect(_KEY, _BOOT_S)
        visitor = Visitor(machine.port)
        with times.step("console to the first page"):
            visitor.wait(_BOOT_S)
        machine.expect(r"state +new", _BOOT_S)
        with times.step("vault"):
            link = _vault(machine)
        with times.step("set-up over the network"):
            visitor.set_up(link)
            visitor.sign_in()
        with times.step("a document"):
            base = visitor.bring(_BOOT_S)
        with times.step("a question and its cited answer"):
            visitor.ask(base)
        with times.step("slot read, and copied to the other one"):
            machine.expect(r"slot +a: sound, and (copied|so was)", _BOOT_S)
        visitor.close()
        time.sleep(_SETTLE_S)


def _vault(machine: Machine) -> str:
    """By the console's menu; the link to first set-up."""
    machine.send("1")
    machine.expect("Passphrase of the vault", _BOOT_S)
    machine.send(PASSPHRASE)
    machine.expect("Repeat for confirmation", _BOOT_S)
    machine.send(PASSPHRASE)
    machine.expect("Written down", _BOOT_S)
    machine.send("y")
    return machine.expect(r"set-up link: https://[^/\s]+(/setup\?token=[\w-]{43})\s", _BOOT_S).group(1)


def verity(machine: Machine, times: _Times) -> None:
    """One changed byte of the first slot's system: it is refused, and the second one starts by itself."""
    root = next(each for each in layout.plan(*sizes(machine.image)) if each.name == layout.root("a"))
    emulator.flip(machine.disk, root.start * MIB + _inodes(machine.image, root.start * MIB))
    with machine, times.step("changed byte to the second slot's console"):
        for _ in range(6):
            machine.expect("enter passphrase|[Pp]lease enter", _BOOT_S)
            machine.send(PASSPHRASE)
            found = machine.expect(r"slot +(a|b)\b|BdsDxe: starting", _BOOT_S)
            if found.group(1) == "b":
                break
            if found.group(1) == "a":
                machine.expect("BdsDxe: starting", _BOOT_S)
        else:
            raise BootTestError(machine.text[-2000:], step="verity")
        Visitor(machine.port).wait(_BOOT_S)


def sizes(image_file: Path) -> tuple[int, int]:
    """MiB of a slot and of the firmware's partition, read from the image's own table."""
    with image_file.open("rb") as image:
        content = image.read(MIB)
    sizes = []
    for number in range(2):
        entry = content[1024 + 128 * number :][:128]
        first, last = (int.from_bytes(entry[at : at + 8], "little") for at in (32, 40))
        sizes.append((last - first + 1) * 512 // MIB)
    return sizes[1], sizes[0]


def _inodes(image: Path, at: int) -> int:
    """Where the squashfs, which says so itself, keeps what every start reads first."""
    with image.open("rb") as source:
        source.seek(at + 64)
        return int.from_bytes(source.read(8), "little")


def tpm(image: Path, base: Path, times: _Times) -> None:
    """With a TPM nobody is asked; with another one, or none, the disk stays closed until the recovery key is typed."""
    machine = Machine(image, base / "tpm", Tpm(base / "tpm-one"))
    with machine, times.step("with a TPM: power to the first page"):
        key = machine.expect(_KEY, _BOOT_S).group(1)
        Visitor(machine.port).wait(_BOOT_S)
        machine.expect(r"slot +a: sound", _BOOT_S)
        time.sleep(_SETTLE_S)
    with machine, times.step("with the same TPM again: no question"):
        found = machine.expect(r"slot +(a)|[Pp]lease enter", _BOOT_S)
        if found.group(1) is None:
            raise BootTestError(machine.text[-2000:], step="tpm: asked although it is the same one")
        time.sleep(_SETTLE_S)
    machine.tpm = Tpm(base / "tpm-two")
    with machine, times.step("with another TPM: closed until the recovery key"):
        machine.expect("[Pp]lease enter", _BOOT_S)
        machine.send(key)
        machine.expect(r"slot +a", _BOOT_S)
        Visitor(machine.port).wait(_BOOT_S)
