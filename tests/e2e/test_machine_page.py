"""An operator and the machine: a network on trial, name and clock, and the last question before a factory reset."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from appliance import config
from tests.e2e.axe import examine
from tests.e2e.browser import Visitor
from tests.simulators.certificates import AT
from tests.simulators.machine import Machine
from tests.simulators.served import PASSWORD, ServedBox

pytestmark = [pytest.mark.browser, pytest.mark.timeout(200)]


@pytest.fixture
def machine(box: ServedBox, tmp_path: Path) -> Iterator[Machine]:
    """A helper beside the box."""
    made = Machine(tmp_path / "machine", now=(AT + timedelta(days=1)).timestamp)
    with made.served(config.load(data_dir=box.folder).helper_socket):
        yield made


def act(erin: Visitor, key: str) -> None:
    """The dialog's own button, with the password."""
    dialog = erin.page.locator("dialog[open]")
    dialog.locator("input[autocomplete='current-password']").fill(PASSWORD)
    dialog.get_by_role("button", name=erin.say(key), exact=True).click()


def test_the_machine_is_seen_changed_and_told_to_end(
    machine: Machine, erin: Visitor, box: ServedBox, browser: Browser
) -> None:
    page, say = erin.page, erin.say
    erin.expects(409, 422)
    erin.go("/operate/machine", ".kv")
    erin.see("192.0.2.50/24")
    examine(erin)

    page.get_by_role("button", name=say("machine.change_of", name="eth0")).click()
    page.get_by_role("radio", name=say("machine.static")).check(force=True)
    address = page.get_by_label(say("machine.address"), exact=True)
    address.fill("192.0.2.7")
    act(erin, "machine.network_act")
    erin.see(say("machine.address_bad"))
    examine(erin)
    address.fill("192.0.2.7/24")
    act(erin, "machine.network_act")
    erin.see(say("machine.trial", name="eth0"))
    examine(erin)
    page.get_by_role("button", name=say("machine.keep"), exact=True).click()
    erin.see("HK-BOX-029")  # this browser came by loopback
    assert machine.network.is_on_trial
    link = page.locator(".hosts a").first.get_attribute("href")
    assert link
    assert link.startswith(f"http://192.0.2.7:{box.port}/keep-network?word=")
    with Visitor(browser, box, erin.language) as stranger:  # nobody is signed in at a new address
        stranger.expects(409)
        stranger.go(link.replace("192.0.2.7", "127.0.0.1"))
        stranger.see(stranger.say("page.network.heading"))
        examine(stranger)
        stranger.button("page.network.keep").click()
        stranger.see("HK-BOX-029")
        examine(stranger)
        stranger.look()
    page.get_by_role("button", name=say("machine.drop"), exact=True).click()
    erin.see(say("machine.dropped"))
    assert machine.file().name == "80-hako.network"

    page.get_by_role("button", name=say("machine.rename"), exact=True).click()
    page.get_by_label(say("machine.name"), exact=True).fill("ward-3")
    act(erin, "machine.rename_act")
    erin.see(say("machine.renamed"))
    page.get_by_role("button", name=say("machine.set_clock"), exact=True).click()
    act(erin, "machine.set_clock_act")
    erin.see(say("machine.clock_set"))
    assert [words[:2] for words in machine.ran][-2:] == [["systemctl", "--no-block"], ["timedatectl", "set-time"]]

    page.get_by_role("button", name=say("machine.erase_open"), exact=True).click()
    named = page.get_by_label(say("machine.erase_name", name="ward-3"))
    named.fill("hako")
    act(erin, "machine.erase_act")
    erin.see(say("machine.erase_name_bad", name="ward-3"))
    examine(erin)
    assert machine.ran[-1][0] == "timedatectl"
    named.fill("ward-3")
    act(erin, "machine.erase_act")
    erin.see(say("machine.ended_erase"))
    assert machine.ran[-1] == ["systemctl", "--no-block", "start", "hako-erase.service"]
    erin.look()
