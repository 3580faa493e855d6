"""Starts an image in an emulator and does with it what its first owner does; then what must not hurt it."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from appliance.bundle.update import system as systems
from appliance.errors import BootTestError
from appliance.image import disk, emulator, inside, inspector, layout, stick
from appliance.image.emulator import Machine, Tpm
from appliance.image.inspector import Inspector
from appliance.image.layout import MIB
from appliance.image.visitor import PASSWORD, Visitor

PARTS: Final = ("first-hour", "inside", "verity", "tpm", "system")
PASSPHRASE: Final = "lanterns along the canal"  # noqa: S105 - of machines that live for minutes
_BOOT_S: Final = 1500.0
_TRIAL_S: Final = 3600.0
_SETTLE_S: Final = 5.0
"""For what was written a moment ago: the machine is then cut off."""
_FOLDER: Final = Path(".build/image/boot-test")
_KEY: Final = r"recovery key of this machine's disk: ([a-z-]{71})\s"
_CODE: Final = r"set-up code +([0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4})\s"
_LOOKS: Final = 5


class Times:
    """Says how long each step takes."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

        self._power = time.monotonic()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Say how long it took, once it is done."""
        began = time.monotonic()
        yield
        self.say(f"{name}: {time.monotonic() - began:.0f} s")

    def power(self) -> None:
        """The machine is being switched on now."""
        self._power = time.monotonic()

    def reached(self, what: str) -> None:
        """Say how long it took from switching on."""
        self.say(f"power to {what}: {time.monotonic() - self._power:.0f} s")

    def say(self, line: str) -> None:
        """At once, for a machine is slow and somebody waits."""
        self._say(f"{time.strftime('%H:%M:%S')} {line}")


def main(image: Path, parts: set[str], say: Callable[[str], None], *, cores: int = 2, memory_mib: int = 3072) -> int:
    """0 if all asked parts went well; all of them when none is named.

    Raises:
        BootTestError: the image hasn't done what it should; the console's last words are the detail.
        ImageStepError: the emulator isn't installed.
    """
    times, wanted = Times(say), parts or set(PARTS)
    base = _FOLDER.absolute() / time.strftime("%H%M%S")
    size, taken = image.stat().st_size / 1e6, disk.taken(image) / 1e6
    load = os.getloadavg()[0]
    say(f"{image.name}: {size:.0f} MB, of which {taken:.0f} MB are taken; no KVM; load {load:.1f}; in {base}")
    if wanted - {"tpm", "system"}:
        machine = Machine(image, base / "plain", cores=cores, memory_mib=memory_mib)
        first_hour(machine, times)
        if "inside" in wanted:
            look_inside(machine, times)
        if "verity" in wanted:
            verity(machine, times)
    if "tpm" in wanted:
        tpm(Machine(image, base / "tpm", Tpm(base / "tpm-one"), cores=cores, memory_mib=memory_mib), base, times)
    if "system" in wanted:
        content = image.with_name(image.stem.replace("hako-", "system-"))
        if not parts and not content.is_dir():
            say(f"no other system to take: {content} is not there (make system NUMBER=2)")
        else:
            machine = Machine(image, base / "slots", cores=cores, memory_mib=memory_mib)
            other_system(machine, content, base / "stick", times)
    return 0


def first_hour(machine: Machine, times: Times) -> None:
    """A machine without a TPM: passphrase, vault, set-up over the network, a document, a cited answer, a restart."""
    with machine, times.step("all of it"):
        visitor = set_up(machine, times)
        with times.step("a document"):
            base = visitor.bring(_BOOT_S)
        with times.step("a question and its cited answer"):
            visitor.ask(base)
        times.reached("the first cited answer")
        with times.step("slot read, and copied to the other one"):
            machine.expect(r"slot +a: sound, and (copied|so was)", _BOOT_S)
        visitor.close()
        time.sleep(_SETTLE_S)


def set_up(machine: Machine, times: Times) -> Visitor:
    """A machine that is being switched on for the first time gets its owner, who is signed in. Raises BootTestError."""
    times.power()
    machine.expect("New passphrase for this machine's disk", _BOOT_S)
    times.reached("the question for a passphrase")
    machine.send(PASSPHRASE)
    machine.expect("The same passphrase again", _BOOT_S)
    machine.send(PASSPHRASE)
    shown(machine, _KEY)
    times.reached("the console")
    visitor = Visitor(machine.url)
    visitor.wait(_BOOT_S)
    times.reached("the first page over TLS")
    with times.step("first set-up over the network"):
        visitor.set_up(shown(machine, _CODE), PASSPHRASE)
        visitor.sign_in()
    machine.expect(r"state +open", _BOOT_S)
    return visitor


def shown(machine: Machine, pattern: str) -> str:
    """What stands on the screen, asked for anew where the line has said a letter twice. Raises BootTestError."""
    for _ in range(_LOOKS - 1):
        try:
            return machine.expect(pattern, _BOOT_S / _LOOKS).group(1)
        except BootTestError:
            machine.send("")
    return machine.expect(pattern, _BOOT_S / _LOOKS).group(1)


def switch_on(machine: Machine) -> Visitor:
    """Once more, until the pages answer: a disk without a TPM asks for its passphrase. Raises BootTestError."""
    machine.start()
    machine.expect("[Pp]lease enter", _BOOT_S)
    machine.send(PASSPHRASE)
    visitor = Visitor(machine.url)
    visitor.wait(_BOOT_S)
    return visitor


def look_inside(machine: Machine, times: Times) -> None:
    """The same disk once more, with a shell that no image has: what can't be seen from outside is as it should be."""
    machine.stage = inspector.stage(machine.image, machine.folder / "stage")
    times.power()
    with machine:
        machine.expect("[Pp]lease enter", _BOOT_S)
        machine.send(PASSPHRASE)
        machine.expect(r"state +closed", _BOOT_S)
        times.reached("the pages of a machine that is set up")
        shell = machine.inspector()
        with times.step("open, and everything is started"):
            _open(machine)
            inside.rest(shell)
        for sentence in seen(shell):
            times.say(sentence)
        time.sleep(_SETTLE_S)
    machine.stage = None


def seen(shell: Inspector) -> Iterator[str]:
    """Each look in a sentence, once it is done. Raises BootTestError."""
    inside.disk(shell)
    yield "the system is checked block by block and can't be written to; the data lies encrypted"
    yield f"{inside.kernel(shell)} settings of the kernel are as they should be, and what may not be loaded isn't"
    inside.usb(shell)
    yield "sticks are looked at before they are let in"
    inside.ports(shell)
    yield f"nothing but the pages and the machine's name listens; the firewall's counters: {inside.firewall(shell)}"
    inside.way_out(shell)
    yield "the way out is shut, and is opened and shut by root's word alone"
    yield inside.airgap(shell)
    inside.rest(shell)
    yield "no unit has failed"


def _open(machine: Machine) -> None:
    """The vault, by the console's menu."""
    machine.send("2")
    machine.expect("[Pp]assphrase", _BOOT_S)
    machine.send(PASSPHRASE)
    machine.expect(r"state +open", _BOOT_S)


def verity(machine: Machine, times: Times) -> None:
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
        Visitor(machine.url).wait(_BOOT_S)


def other_system(machine: Machine, content: Path, folder: Path, times: Times) -> None:
    """Another system from a stick into the second slot, kept after its trial; then back by an operator's word.

    `content`: as `make system` leaves it, with a higher number than the image's.
    """
    number = systems.parsed((content / systems.MANIFEST).read_bytes()).number
    with times.step(f"system {number} is signed and written to a stick"):
        root, plugged = stick.write(content, "system", str(number), number, folder)
        machine.sticks = [plugged]
    with machine:
        visitor = set_up(machine, times)
        before = visitor.until(lambda: _system(visitor), _BOOT_S)["running"]["number"]
        with times.step(f"it is taken from the stick, beside system {before}"):
            visitor.take(root, _BOOT_S)
        with times.step("it is written into the second slot and read back"):
            visitor.until(lambda: _system(visitor)["phase"] == "waiting", _BOOT_S)
        with times.step("restart into it"):
            visitor.asks("POST", "/machine/restart", {"password": PASSWORD})
            _up_again(machine, visitor)
        with times.step("it is on trial, and kept"):
            visitor.open(PASSPHRASE, _BOOT_S)
            _demand_ended(visitor, number, kept=True)
        with times.step(f"back to system {before}"):
            visitor.asks("POST", "/update/system/back", {"password": PASSWORD})
            _up_again(machine, visitor)
            visitor.open(PASSPHRASE, _BOOT_S)
            _demand_ended(visitor, before, kept=False)
        with times.step("the second slot is its copy again"):
            visitor.until(lambda: (_system(visitor)["other"] or {}).get("number") == before, _BOOT_S)
        visitor.close()


def _system(visitor: Visitor) -> dict[str, Any]:
    found = visitor.asks("GET", "/update/system")["system"]
    if found is None:
        raise BootTestError("the machine doesn't know its slots yet", step="system")
    return dict(found)


def _up_again(machine: Machine, visitor: Visitor) -> None:
    machine.expect("[Pp]lease enter", _BOOT_S)
    machine.send(PASSPHRASE)
    visitor.wait(_BOOT_S)


def _demand_ended(visitor: Visitor, number: int, *, kept: bool) -> None:
    """Wait until the system of this number runs, and the last one was kept or not. Raises BootTestError."""

    def ended() -> dict[str, Any] | None:
        seen = _system(visitor)
        return seen if seen["phase"] == "idle" and seen["running"]["number"] == number else None

    seen = visitor.until(ended, _TRIAL_S)
    if seen["last"] is None or seen["last"]["kept"] is not kept:
        raise BootTestError(str(seen), step="system")


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


def tpm(machine: Machine, base: Path, times: Times) -> None:
    """With a TPM nobody is asked; with another one, or none, the disk stays closed until the recovery key is typed."""
    with machine, times.step("with a TPM: power to the first page"):
        key = shown(machine, _KEY)
        Visitor(machine.url).wait(_BOOT_S)
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
        Visitor(machine.url).wait(_BOOT_S)
