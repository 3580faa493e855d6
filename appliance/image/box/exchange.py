"""Puts another system into the slot that doesn't run, and decides what the loader may start.

Each step leaves the running slot startable, and can be done again after a power cut. Nothing is believed by its name:
what lies staged is compared with the digests that root's helper noted, what was written is read back through its tree,
and which system runs is what the kernel was told, not what a note says.
"""

import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.bundle.update import system
from appliance.bundle.update.system import Manifest, Room, System
from appliance.bundle.update.system_state import Ended, Order, Other, Standing, SystemPlaces
from appliance.errors import BundleInvalidError, DiskFullError, ImageStepError
from appliance.image.box import disks, slots
from appliance.image.layout import MIB, SLOTS

_HEAD_BYTES: Final = 4 * MIB
"""Of a kernel: what it says of itself stands before the kernel proper."""
_VERSION: Final = re.compile(rb'IMAGE_VERSION="(\d+)\.([^"~]+)')


@dataclass(frozen=True)
class Ground:
    """`esp`: the mounted firmware's partition. `root` and `tree`: partitions of the slot that doesn't run.

    `digest`: of the system that runs, as the kernel was told.
    """

    places: SystemPlaces
    esp: Path
    slot: str
    digest: str
    own: System
    root: Path
    tree: Path

    @property
    def other(self) -> str:
        """The slot that doesn't run."""
        return SLOTS[1 - SLOTS.index(self.slot)]


Verify = Callable[[Path, Path, str], None]
"""`verify(root, tree, digest)`; raises ImageStepError where a block isn't what it should be."""


def verify(root: Path, tree: Path, digest: str) -> None:
    """Read every block, and compare it with the tree of this root. Raises ImageStepError."""
    disks.run("veritysetup", "verify", root, tree, digest)


def look(ground: Ground) -> Standing:
    """How the machine is, told for everybody; nothing but that is changed."""
    before, order = ground.places.standing(), ground.places.order()
    phase = order.phase if order else "idle"
    standing = Standing(
        slot=ground.slot,
        running=ground.own,
        room=_room(ground),
        other=_other(ground),
        phase="trial" if is_trial(ground, order) and phase != "given-up" else phase,
        wanted=Other(number=order.number, version=order.version) if order else None,
        reason=order.reason if order else "",
        ended=before.ended if before else None,
        highest=before.highest if before else 0,
    )
    ground.places.say(standing)
    return standing


def is_trial(ground: Ground, order: Order | None) -> bool:
    """Whether the system that runs is the one that was ordered, whatever the order says of itself."""
    return order is not None and order.digest == ground.digest


def has_failed(ground: Ground, order: Order) -> bool:
    """Whether the loader has given the ordered system up, or we have."""
    if is_trial(ground, order) or order.slot != ground.other:
        return False
    if slots.is_armed(ground.esp, ground.other):
        return order.phase == "given-up"  # the power went before it was struck off
    # Before the kernel is there, only the order can have it; after it, it has lost its tries or was struck off.
    return order.phase != "writing" or slots.entry(ground.esp, ground.other) is not None


def write(ground: Ground, order: Order, verify: Verify = verify) -> None:
    """Put the ordered system into the other slot, for the next start.

    Raises:
        ImageStepError: what is staged isn't what was ordered, or the disk doesn't keep it; the order has ended.
        DiskFullError: the firmware's partition is too small; likewise.
    """
    if order.slot == ground.other and order.phase == "writing" and slots.is_armed(ground.esp, ground.other):
        _change(ground, order, phase="waiting")  # the power went between the last two steps
        return
    if not slots.is_armed(ground.esp, ground.slot):
        raise ImageStepError("the slot that runs has no tries", step="system")
    try:
        manifest = _demand_staged(ground, order)
    except (BundleInvalidError, OSError) as error:
        _end(ground, order, "damaged")
        raise ImageStepError(str(error), step="system") from error
    slots.strike(ground.esp, ground.other)
    order = _change(ground, order, phase="writing", slot=ground.other, reason="")
    try:
        _put(ground, manifest)
        verify(ground.root, ground.tree, order.digest)
        slots.put(ground.esp, ground.other, ground.places.staged / system.KERNELS[ground.other])
    except DiskFullError:
        _end(ground, order, "room")
        raise
    except (ImageStepError, OSError) as error:
        _end(ground, order, "unwritable")
        raise ImageStepError(str(error), step="system") from error
    _change(ground, order, phase="waiting")


def keep(ground: Ground, order: Order) -> None:
    """The system that runs was found good: it stays, and either slot can be made a copy of it."""
    kept = ground.esp / "EFI" / "hako"
    if all(_is_of(path, ground.digest) is False for path in _pair(kept)):
        with suppress(DiskFullError):  # then this one can be made whole again, and the one before can't
            _copy_kernels(kept, ground.places.before)
    staged = {slot: ground.places.staged / name for slot, name in system.KERNELS.items()}
    for slot, path in staged.items():
        if not _is_of(kept / f"{slot}.efi", ground.digest):
            slots.replace(path, kept / f"{slot}.efi")
    slots.rearm(ground.esp, ground.slot)
    _end(ground, order, "")


def give_up(ground: Ground, order: Order, reason: str) -> bool:
    """The system that runs on trial is not to be started again; whether there is another one to restart into."""
    if not slots.is_armed(ground.esp, ground.other):
        return False
    with suppress(DiskFullError):  # then it is told as the loader's own word
        _change(ground, order, phase="given-up", reason=reason)
    slots.strike(ground.esp, ground.slot)
    return True


def take_back(ground: Ground, order: Order, reason: str = "") -> None:
    """The system before runs, again or still. Without a `reason` it is what the order says of itself."""
    slots.strike(ground.esp, ground.other)
    _end(ground, order, reason or (order.reason if order.phase == "given-up" else "boots"))


def leave(ground: Ground) -> bool:
    """Start the other slot's system from now on, as an operator wants it; whether there is one."""
    other = _other(ground)
    if other is None or other.number == ground.own.number:
        return False
    _say_ended(ground, Ended(id=secrets.token_hex(8), number=ground.own.number, version=ground.own.version,
                             kept=False, reason="operator", at=time.time()))  # fmt: skip
    slots.strike(ground.esp, ground.slot)
    return True


def can_heal(ground: Ground) -> bool:
    """Whether kernels of the system that runs are kept, so that the other slot can be made its copy; they are then in
    the firmware's partition.
    """
    kept = ground.esp / "EFI" / "hako"
    if all(_is_of(path, ground.digest) for path in _pair(kept)):
        return True
    if not all(_is_of(path, ground.digest) for path in _pair(ground.places.before)):
        return False
    for slot in SLOTS:
        slots.replace(ground.places.before / f"{slot}.efi", kept / f"{slot}.efi")
    return True


def _demand_staged(ground: Ground, order: Order) -> Manifest:
    """What lies staged, byte by byte what was ordered. Raises BundleInvalidError, OSError."""
    content = (ground.places.staged / system.MANIFEST).read_bytes()
    if hashlib.sha256(content).hexdigest() != order.manifest:
        raise BundleInvalidError("system: another manifest")
    manifest = system.parsed(content)
    for name, said in manifest.files.items():
        with (ground.places.staged / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != said.sha256:
                raise BundleInvalidError(f"system: {name}")
    for name, target in ((system.ROOT, ground.root), (system.TREE, ground.tree)):
        if manifest.files[name].size > _size(target):
            raise BundleInvalidError(f"system: {name} is larger than its partition")
    if manifest.digest != order.digest:
        raise BundleInvalidError("system: another digest")
    return manifest


def _put(ground: Ground, manifest: Manifest) -> None:
    standing = ground.places.standing()
    done, total = 0, sum(manifest.files[name].size for name in (system.ROOT, system.TREE))
    for name, target in ((system.ROOT, ground.root), (system.TREE, ground.tree)):
        with (ground.places.staged / name).open("rb") as source, target.open("r+b", buffering=0) as to:
            told = 0
            while piece := source.read(MIB):
                to.write(piece)
                done += len(piece)
                if standing is not None and done - told >= 64 * MIB:
                    ground.places.say(standing.model_copy(update={"phase": "writing", "done": done, "total": total}))
                    told = done
            os.fsync(to.fileno())
            # What is read back comes from the disk, not from memory.
            os.posix_fadvise(to.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _change(ground: Ground, order: Order, **changes: object) -> Order:
    changed = order.model_copy(update=changes)
    ground.places.give(changed)
    look(ground)
    return changed


def _end(ground: Ground, order: Order, reason: str) -> None:
    """Kept without a reason. What is said of it comes before the order goes: after a power cut it is said again."""
    _say_ended(ground, Ended(id=order.id, bundle=order.bundle, number=order.number, version=order.version,
                             kept=not reason, reason=reason, at=time.time()))  # fmt: skip
    ground.places.forget()
    look(ground)


def _say_ended(ground: Ground, ended: Ended) -> None:
    standing = look(ground)
    highest = max(standing.highest, ended.number) if ended.kept else standing.highest
    ground.places.say(standing.model_copy(update={"ended": ended, "highest": highest}))


def _other(ground: Ground) -> Other | None:
    path = slots.entry(ground.esp, ground.other)
    if path is None or not slots.is_armed(ground.esp, ground.other):
        return None
    found = _VERSION.search(_head(path))
    return Other(number=int(found[1]), version=found[2].decode("ascii", "replace")) if found else None


def _room(ground: Ground) -> Room:
    """One more kernel comes instead of the other slot's."""
    there, kept = slots.entry(ground.esp, ground.other), _pair(ground.esp / "EFI" / "hako")
    free = shutil.disk_usage(ground.esp).free
    return Room(
        root=_size(ground.root),
        tree=_size(ground.tree),
        esp=free + (there.stat().st_size if there else 0),
        kept=sum(path.stat().st_size for path in kept if path.exists()),
    )


def _pair(folder: Path) -> list[Path]:
    return [folder / f"{slot}.efi" for slot in SLOTS]


def _is_of(kernel: Path, digest: str) -> bool | None:
    """Whether it starts the system of this digest; None where there is no kernel."""
    try:
        return f"hako.hash={digest}".encode() in _head(kernel)
    except FileNotFoundError:
        return None


def _copy_kernels(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    target.chmod(0o755)
    for slot in SLOTS:
        slots.replace(source / f"{slot}.efi", target / f"{slot}.efi", room=True)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)


def _size(device: Path) -> int:
    """Of a file or a partition."""
    with device.open("rb", buffering=0) as opened:
        return opened.seek(0, os.SEEK_END)
