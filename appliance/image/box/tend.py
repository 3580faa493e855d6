"""After each start, and when a system was taken: whether the slot that runs is sound, and what goes into the other one.

The loader counts: each start takes one of a slot's tries. They are given back when the box answers and every block of
the slot was read. A slot that was damaged never gets so far, and the other one is started after three tries; the same
happens to another system on trial, whose tries come back only once it was found good.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol

import appliance
from appliance import modes
from appliance.bundle.update import system
from appliance.bundle.update.state import BASE, STATE, Places, Release
from appliance.bundle.update.system import System
from appliance.bundle.update.system_state import Order, SystemPlaces
from appliance.errors import DiskFullError, ImageStepError
from appliance.image import layout
from appliance.image.box import disks, exchange, slots, trial
from appliance.image.box.exchange import Ground
from appliance.image.layout import SLOTS
from appliance.storage import migrations

OWN: Final = Path("/usr/share/hako") / system.MANIFEST
_SOUND: Final = Path("/run/hako-root/sound")
"""Since this start: nothing has to be read again when only an order has come."""
_AGAIN_S: Final = 600.0
"""After a system that isn't good, and is the only one."""


class Machine(Protocol):
    """What this is done to; tests have one of folders."""

    def ground(self) -> AbstractContextManager[Ground]:
        """The slots as they are now, with the firmware's partition for as long as it takes."""

    def demand_sound(self) -> None:
        """Return once the box has answered and every block was read."""

    def judge(self) -> str:
        """Why a system on trial isn't good; empty if it is. See `trial.judge`."""

    def verify(self, root: Path, tree: Path, digest: str) -> None:
        """As `exchange.verify`."""

    def copy(self, ground: Ground) -> None:
        """Make the other slot's partitions those of the slot that runs."""

    def tell(self, state: str) -> None:
        """One line for the console."""

    def wait(self, seconds: float) -> None:
        """Before something is tried again."""

    def restart(self) -> None:
        """Start the machine anew; it may go on for a moment."""


def tend(machine: Machine) -> None:
    """Once after a start, or when there is an order. Can be cut off anywhere, and is then done again.

    Raises:
        ImageStepError, DiskFullError, OSError: a disk doesn't do what it should; to be tried again.
    """
    machine.tell("is being checked")
    with machine.ground() as ground:
        ground.places.tidy()
        order = ground.places.order()
        if order is not None and exchange.has_failed(ground, order):
            exchange.take_back(ground, order)
            order = None
        exchange.look(ground)
        on_trial, wants_back = exchange.is_trial(ground, order), ground.places.wants_back()
        if wants_back and order is None and exchange.leave(ground):
            machine.restart()
            return
        if wants_back and order is not None and order.phase == "waiting" and not on_trial:
            exchange.take_back(ground, order, "dropped")
    if order is not None and on_trial:
        first = order.reason if order.phase == "given-up" else "operator" if wants_back else ""
        _try_out(machine, order, first)
        return
    machine.demand_sound()
    with machine.ground() as ground:
        slots.rearm(ground.esp, ground.slot)
        if not _put(machine, ground):
            _heal(machine, ground)


def _try_out(machine: Machine, order: Order, reason: str) -> None:
    """Keep the system that runs, or restart into the one before; where there is none, it goes on as it is."""
    while True:
        reason = reason or machine.judge()
        with machine.ground() as ground:
            if not reason:
                exchange.keep(ground, order)
                machine.tell("sound, and kept; the system before is in the other one")
                return
            if exchange.give_up(ground, order, reason):
                machine.tell("given up; the system before is started")
                machine.restart()
                return
        machine.tell("not good, and there is no other system")
        machine.wait(_AGAIN_S)
        reason = ""


def _put(machine: Machine, ground: Ground) -> bool:
    """Put an ordered system into the other slot; whether one waits there for its first start."""
    order = ground.places.order()
    if order is None:
        return False
    if order.phase == "waiting" and order.slot == ground.other:
        machine.tell(f"sound; system {order.number} waits in the other one for the next start")
        return True
    machine.tell(f"sound; system {order.number} is being put into the other one")
    try:
        exchange.write(ground, order, machine.verify)
    except (ImageStepError, DiskFullError) as error:
        machine.tell(f"sound; system {order.number} could not be put into the other one: {error.detail[:100]}")
        return False
    machine.tell(f"sound; system {order.number} waits in the other one for the next start")
    return True


def _heal(machine: Machine, ground: Ground) -> None:
    """Make the other slot a copy of this one if it can't be started; never while another system is on its way."""
    if slots.is_armed(ground.esp, ground.other):
        machine.tell("sound, and so was the other one")
    elif not exchange.can_heal(ground):
        ground.places.say(exchange.look(ground).model_copy(update={"alone": True}))
        machine.tell("sound; the other one can't be started, and no kernel is kept for a copy")
        return
    else:
        machine.tell("sound; is being copied to the other one")
        machine.copy(ground)
        slots.arm(ground.esp, ground.other)
        machine.tell("sound, and copied to the other one")
    exchange.look(ground)


class Own:
    """The machine that this runs on."""

    def __init__(self, slot: str) -> None:
        self._slot, self._digest = slot, disks.running_digest()
        self._own = System.model_validate_json(OWN.read_bytes())
        self._places = SystemPlaces(Places.of(trial.DATA).root)

    @contextmanager
    def ground(self) -> Iterator[Ground]:
        """See `Machine`."""
        disk = disks.started_from()
        other = SLOTS[1 - SLOTS.index(self._slot)]
        root, tree = (disk.partitions[name(other)].device for name in (layout.root, layout.verity))
        with slots.mounted(disk) as esp:
            yield Ground(self._places, esp, self._slot, self._digest, self._own, root, tree)

    def demand_sound(self) -> None:
        """See `Machine`."""
        if not _SOUND.exists():
            slots.wait(slots.answers, time.sleep)
            slots.read_all(slots.SYSTEM)
            _SOUND.touch()

    def judge(self) -> str:
        """See `Machine`."""
        if not slots.wait(slots.answers, time.sleep, trial.Pace.answer):
            return trial.NO_ANSWER
        slots.read_all(slots.SYSTEM)
        return trial.judge(trial.look, time.sleep, self._told)

    def _told(self, reason: str) -> bool:
        standing = self._places.standing()
        if standing is not None and standing.reason != reason:
            self._places.say(standing.model_copy(update={"reason": reason}))
        return self._places.wants_back()

    verify = staticmethod(exchange.verify)

    def copy(self, ground: Ground) -> None:
        """See `Machine`."""
        slots.copy(disks.started_from(), ground.slot, ground.other, slots.SYSTEM)

    def tell(self, state: str) -> None:
        """See `Machine`."""
        slots.tell(state)

    def wait(self, seconds: float) -> None:
        """See `Machine`."""
        time.sleep(seconds)

    def restart(self) -> None:
        """See `Machine`."""
        disks.run("systemctl", "--no-block", "reboot")


def note_base(places: Places) -> None:
    """Another system brings another base: going back to it must not be judged by the description of the old one."""
    base = Release(
        BASE, appliance.__version__, appliance.COUNTER, schema=len(migrations.STEPS), reads_from=migrations.READS_FROM
    )
    if (places.root / STATE).is_dir() and places.release(BASE) != base:
        places.note_base(base)


def main() -> int:
    """Of the machine's own unit."""
    slot = disks.running_slot()
    if slot not in SLOTS:
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that nothing stays mounted
    modes.open_to_all()
    os.umask(modes.umask())
    with suppress(OSError, DiskFullError):
        note_base(Places.of(trial.DATA))
    tend(Own(slot))
    return 0


if __name__ == "__main__":
    sys.exit(main())
