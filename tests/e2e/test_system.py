"""An operator and the system below the box: what a stick brings, what waits for a restart, how it ended, going back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance import config
from appliance.bundle.update.privileged import RootsReleases
from appliance.bundle.update.state import Places
from appliance.bundle.update.system import Room
from appliance.bundle.update.system_state import Ended, Other, Standing, SystemPlaces
from tests.e2e.axe import examine
from tests.e2e.browser import Visitor
from tests.simulators.machine import Machine
from tests.simulators.served import PASSWORD, ServedBox
from tests.simulators.sticks import Sticks
from tests.simulators.two_slots import fill, own
from tests.simulators.waiting import eventually

pytestmark = [pytest.mark.browser, pytest.mark.timeout(200)]

OLD, NEW = Other(number=1, version="0.1.0"), Other(number=2, version="0.1.0")


class Said:
    """What `hako-slots` would say on a machine of an image."""

    def __init__(self, places: SystemPlaces) -> None:
        self.places = places
        self.now()

    def now(self, **changes: Any) -> None:
        room = Room(root=1 << 30, tree=1 << 24, esp=1 << 27, kept=1 << 27)
        said = {"slot": "a", "running": own(1), "room": room, "other": OLD, **changes}
        self.places.say(Standing.model_validate(said))


@pytest.fixture
def said(box: ServedBox) -> Said:
    return Said(SystemPlaces(config.load(data_dir=box.folder).releases))


@pytest.fixture
def machine(box: ServedBox, media: Path, tmp_path: Path) -> Iterator[Machine]:
    settings = config.load(data_dir=box.folder)
    memory = tmp_path / "memory"
    releases = RootsReleases(Places(settings.releases, settings.data_dir), [media], memory / "root.json", memory)
    made = Machine(tmp_path / "machine", releases=releases)
    with made.served(settings.helper_socket):
        yield made


def act(erin: Visitor, key: str) -> None:
    erin.dialog.locator("input[autocomplete='current-password']").fill(PASSWORD)
    erin.button(key, within=erin.dialog).click()


def test_a_stick_says_what_its_system_would_be_and_the_machine_how_far_it_is(
    said: Said, machine: Machine, erin: Visitor, box: ServedBox, sticks: Sticks, media: Path, tmp_path: Path
) -> None:
    content = fill(tmp_path / "content", 2)
    sticks.add(content, "hako-system-generic", "2", role="app", kind="system", counter=2, licence="GPL-2.0-or-later")
    stick = sticks.write(media / "HAKO")
    with box.client() as client:
        client.put("/bundles/trust", {"root": sticks.publisher.anchor.decode(), "fingerprint": sticks.fingerprint})
    erin.go("/operate/update", "h3")
    erin.button("update.open_of", name=stick.name).click()
    erin.see(erin.say("update.system_keep", n=2, before=1, minutes=4))
    erin.see(erin.say("update.check_system"))
    examine(erin)
    erin.field("update.password").fill(PASSWORD)
    erin.button("update.act").click()
    erin.see(erin.say("update.done_system"))
    examine(erin)
    order = said.places.order()
    assert order
    assert (order.number, machine.ran) == (2, [["systemctl", "--no-block", "restart", "hako-slots.service"]])
    erin.link("update.see_system").click()
    erin.see(erin.page.locator("#mc-system"))

    said.now(phase="writing", wanted=NEW, done=3 << 20, total=9 << 20)
    erin.go("/operate/machine", "#mc-system")
    erin.see(erin.say("machine.system_writing", n=2))
    said.now(phase="waiting", wanted=NEW, other=NEW)
    erin.see(erin.say("machine.system_waiting", n=2))  # the page looks again by itself
    examine(erin)
    erin.button("machine.system_drop", n=2).click()
    erin.see(erin.say("machine.system_drop_note"))
    examine(erin)
    act(erin, "machine.system_drop_act")
    assert eventually(said.places.wants_back)
    erin.see(erin.say("machine.system_dropping"))
    assert machine.ran[-1] == ["systemctl", "--no-block", "restart", "hako-slots.service"]
    dropped = Ended(id="zero", number=2, version="0.1.0", kept=False, reason="dropped", at=1_790_000_000.0)
    said.now(ended=dropped)
    erin.see(erin.say("machine.system_dropped", n=2))  # the page looks again by itself
    said.now(phase="waiting", wanted=NEW, other=NEW)
    erin.go("/operate/machine", "#mc-system")
    erin.button("machine.system_start", n=2).click()
    examine(erin)
    act(erin, "machine.restart_act")
    erin.see(erin.say("machine.ended_restart"))
    assert machine.ran[-1] == ["systemctl", "--no-block", "reboot"]

    said.now(slot="b", running=own(2), phase="trial", wanted=NEW, reason="check-answer")
    erin.go("/operate/machine", "#mc-system")
    erin.see(erin.say("machine.system_trial", n=2))
    erin.see(erin.say("machine.system_why_check-answer"))
    ended = Ended(id="one", number=3, version="0.1.0", kept=False, reason="boots", at=1_790_000_000.0)
    said.now(slot="b", running=own(2), ended=ended)
    erin.go("/operate/machine", "#mc-system")
    erin.see(erin.say("machine.system_taken_back", n=3))
    examine(erin)
    erin.button("machine.system_back", n=1).click()
    erin.see(erin.say("machine.system_back_note"))
    act(erin, "machine.restart_act")
    erin.see(erin.say("machine.ended_restart"))
    assert machine.ran[-1] == ["systemctl", "--no-block", "restart", "hako-slots.service"]
    erin.look()
