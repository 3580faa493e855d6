"""Power cuts of an emulated machine while its release changes: `python -m tests.lifecycle.boot_kills IMAGE --kills 10`.

The image is set up as its owner does it, a stick with a real release is plugged in, taken and installed by root's
helper, and the change is begun over the network. Then the emulator is killed at a random moment, again and again: each
time the machine must come up by itself, and be the old box or the new one, with all that was in it.
"""

import argparse
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from appliance.bundle.update.state import RESTING, Phase
from appliance.errors import BootTestError, HakoError
from appliance.image import boot_test, tools
from appliance.image.boot_test import PASSPHRASE, Times
from appliance.image.emulator import Machine
from appliance.image.visitor import PASSWORD, Visitor
from tests.simulators import releases
from tests.simulators.publishing import PublishersTerminal

BASE_PACKAGES: Final = "/opt/hako/base/lib/python3.11/site-packages"
OLD, NEW = "0.1.0", "0.2.0"
WINDOW_S: Final = 240.0
"""A cut comes within so many seconds after the change has begun, or after the box was opened again."""
_STICK_KB: Final = 64 * 1024
_STEP_S: Final = 3600.0


class Operator:
    """At the pages of a machine that is switched off and on."""

    def __init__(self, machine: Machine, visitor: Visitor) -> None:
        self.machine, self.visitor, self.base = machine, visitor, ""

    def on(self) -> None:
        self.visitor.close()
        self.visitor = boot_test.switch_on(self.machine)

    def bring(self) -> None:
        """Something that must be there afterwards."""
        self.base = self.visitor.bring(_STEP_S)

    def takes(self, publisher: PublishersTerminal) -> None:
        """The release from the stick that is plugged in, installed beside the running one."""
        self.visitor.take(publisher.root.read_bytes(), _STEP_S)

    def changes(self) -> str:
        """Begin the change to the other release; which one that is."""
        standing = self.visitor.asks("GET", "/update")
        if standing["ready"] is not None:
            wish = {"digest": standing["ready"]["digest"], "password": PASSWORD}
            self.visitor.asks("POST", "/update/start", wish)
            return NEW
        self.visitor.asks("POST", "/update/rollback", {"password": PASSWORD})
        return OLD

    def opens(self) -> bool:
        """The vault of a box that is up; whether no change is on its way any more."""

        def opened() -> dict[str, Any] | None:
            state = self.visitor.asks("GET", "/state")
            if state["vault"]["state"] == "open":
                return state
            self.visitor.asks("POST", "/unlock", {"passphrase": PASSPHRASE})
            return None

        if self.visitor.until(opened, _STEP_S)["trial"]:
            return False
        self.visitor.until(self._signs_in, _STEP_S)
        return Phase(self.visitor.asks("GET", "/update")["phase"]) in RESTING

    def _signs_in(self) -> bool:
        self.visitor.sign_in()
        return True

    def settles(self) -> str:
        """Wait until the change is over, and look at everything; the release that runs."""
        self.visitor.until(self.opens, _STEP_S)
        standing = self.visitor.asks("GET", "/update")
        documents = self.visitor.asks("GET", f"/bases/{self.base}/documents")["items"]
        if [each["state"] for each in documents] != ["ready"] or standing["running"]["version"] not in (OLD, NEW):
            raise BootTestError(f"{standing} {documents}", step="settles")
        return str(standing["running"]["version"])


def stick(folder: Path) -> tuple[PublishersTerminal, Path]:
    """A publisher, and the image of a FAT stick with the next release of this very tree."""
    (folder / "publisher").mkdir(parents=True)
    publisher = PublishersTerminal(folder / "publisher")
    lock = releases.everything_else(folder / "wheels", [BASE_PACKAGES])
    digest = publisher.release(releases.wheel(folder / "built", NEW, 2), lock, 2)
    publisher.hako("write", publisher.repository, folder / "content", "--only", digest)
    image = folder / "stick.img"
    tools.run("stick", ["mkfs.vfat", "-F", "32", "-n", "HAKO", "-C", image, str(_STICK_KB)])
    tools.run("stick", ["mcopy", "-s", "-i", image, *sorted((folder / "content").iterdir()), "::"])
    return publisher, image


def live(folder: Path, kills: int, chance: random.Random, machine: Machine, times: Times) -> Counter[str]:
    """So many power cuts; how often the machine was what after one. Raises BootTestError: it was none of the two."""
    with times.step("a release is built, signed and written to a stick"):
        publisher, plugged = stick(folder)
        machine.sticks = [plugged]
    seen: Counter[str] = Counter()
    with machine:
        operator = Operator(machine, boot_test.set_up(machine, times))
        with times.step("a document"):
            operator.bring()
        with times.step("the release is taken from the stick and installed by root's helper"):
            operator.takes(publisher)
        rests = True
        for number in range(1, kills + 1):
            to = operator.changes() if rests else "the same"
            time.sleep(moment := chance.uniform(0.0, WINDOW_S))
            machine.kill()
            with times.step(f"cut {number} of {kills}, {moment:.0f} s into the change to {to}: up again and open"):
                operator.on()
                rests = operator.opens()
            found = operator.settles() if rests else "on trial"
            seen[found] += 1
            times.say(f"it is {found}")
        with times.step("the last change is over"):
            times.say(f"it is {operator.settles()}; after {kills} cuts it was {dict(seen)}")
        operator.visitor.close()
    return seen


def main() -> int:
    """0 if the machine came up each time, as one of the two."""
    parser = argparse.ArgumentParser()
    parser.add_argument("image", type=Path)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cores", type=int, default=2)
    wish = parser.parse_args()
    folder = Path(".build/image/boot-test").absolute() / time.strftime("kills-%H%M%S")
    machine = Machine(wish.image, folder / "machine", cores=wish.cores)
    try:
        live(folder, wish.kills, random.Random(wish.seed), machine, Times(_say))
    except HakoError as error:
        _say(f"✗ {error.code} {error.params}\n{error.detail}")
        return 1
    return 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
