"""The first minutes of a box, and each start after: set-up by the one-time link, unlocking; axe finds nothing."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from appliance import config
from appliance.vault.client import KeysClient
from tests.e2e.axe import examine
from tests.e2e.browser import Visitor, add_person, texts
from tests.simulators.machine import Machine
from tests.simulators.served import PASSWORD, ServedBox
from webui.locales import Language

pytestmark = [pytest.mark.browser, pytest.mark.timeout(200)]


@pytest.fixture
def box(tmp_path: Path) -> Iterator[ServedBox]:
    """A new one, with scripted models."""
    with ServedBox(tmp_path / "v") as box:
        yield box


@pytest.fixture
def machine(box: ServedBox, tmp_path: Path) -> Iterator[Machine]:
    """A helper beside the box, so that set-up asks for network and time."""
    made = Machine(tmp_path / "machine")
    with made.served(config.load(data_dir=box.folder).helper_socket):
        yield made


def test_the_one_time_link_leads_through_the_first_set_up(
    box: ServedBox, machine: Machine, browser: Browser, language: Language
) -> None:
    link = re.search(r"/setup\?token=\S+", box.output)
    code = re.search(r"\b[0-9A-Z]{4}-[0-9A-Z]{4}\b", box.output)
    assert link
    assert code  # typed in test_setup; here its page is looked at
    with Visitor(browser, box, language) as bob:
        bob.expects(403)
        bob.go("/setup")
        bob.page.locator(f"button[value={language}]").click()
        bob.page.fill("#code", "ZZZZ-ZZZZ")
        bob.button("page.setup.code.submit").click()
        bob.see("HK-BOX-034")
        examine(bob)
    with Visitor(browser, box, language) as alice:
        page = alice.page
        alice.expects(422)
        alice.go(link[0])
        alice.see(alice.say("page.setup.language.hint"))
        examine(alice)
        page.locator(f"button[value={language}]").click()

        alice.see(alice.say("page.setup.account.heading"))
        page.fill("#display_name", "Alice")
        page.fill("#name", "alice")
        page.fill("#password", "password")
        alice.button("page.setup.account.submit").click()
        alice.see("HK-AUTH-005")
        assert page.locator("#display_name").input_value() == "Alice"
        examine(alice)
        page.fill("#password", PASSWORD)
        alice.see(alice.say("page.setup.account.enough"))
        alice.button("page.setup.account.submit").click()

        alice.see(alice.say("page.setup.recovery.heading"))
        groups = texts(page.locator("#recovery-key li"))
        assert len(groups) == 8
        assert {len(group) for group in groups} == {5}
        examine(alice)
        alice.button("page.setup.recovery.submit").click()
        wanted = int(re.findall(r"\d", page.locator("label[for=group]").inner_text())[0])
        page.fill("#group", groups[wanted % 8])
        alice.button("page.setup.confirm.submit").click()
        alice.see(alice.say("page.setup.confirm.wrong"))
        assert not any(group in page.content() for group in groups)
        examine(alice)
        page.fill("#group", groups[wanted - 1].lower())
        alice.button("page.setup.confirm.submit").click()
        alice.see(alice.say("page.setup.network.heading"))
        examine(alice)
        page.check("input[value=static]")
        page.fill("#address", "192.0.2.7/24")
        page.fill("#host", "ward-3")
        alice.button("page.setup.next").click()
        alice.see(alice.say("page.setup.network.trial"))
        examine(alice)
        alice.button("page.setup.network.drop").click()
        assert machine.name == "ward-3"
        alice.button("page.setup.next").click()
        alice.see(alice.say("page.setup.time.heading"))
        examine(alice)
        page.select_option("#zone", "Asia/Tokyo")
        alice.button("page.setup.time.here").click()
        alice.button("page.setup.next").click()
        assert machine.zone == "Asia/Tokyo"
        alice.see(alice.say("page.setup.capacity.heading"))  # without TLS there is no fingerprint to compare
        examine(alice)
        alice.button("page.setup.capacity.measure").click()
        alice.see(page.locator(".sign-big"))
        examine(alice)
        alice.button("page.setup.next").click()
        alice.see(alice.say("page.setup.done.heading"))
        examine(alice)
        alice.link("page.setup.done.chat").click()
        alice.see(alice.say("chat.empty_title"))
        alice.look()
    with Visitor(browser, box, language) as mallory:
        mallory.expects(403)
        mallory.go(link[0])
        mallory.see("HK-AUTH-007")
        examine(mallory)


def test_a_sealed_box_shows_nothing_until_it_is_unlocked(box: ServedBox, browser: Browser, language: Language) -> None:
    settings = config.load(data_dir=box.folder)
    add_person(box, "alice", "Alice", language)
    recovery_key = KeysClient(settings.keys_socket).new_recovery()
    passphrase = settings.passphrase_file.read_text("utf-8").strip()
    box.stop()
    settings.passphrase_file.rename(settings.passphrase_file.with_suffix(".away"))
    box.start("--no-question")
    with Visitor(browser, box, language) as alice:
        page = alice.page
        alice.expects(423)
        alice.go("/chat")
        expect(page).to_have_url(re.compile(r"/unlock"))
        examine(alice)
        page.fill("#passphrase", "certainly-not-the-passphrase")
        alice.button("page.unlock.submit").click()
        alice.see("HK-VLT-002")
        examine(alice)
        alice.link("page.unlock.use_recovery_key").click()
        mistyped = recovery_key[:-1] + ("A" if recovery_key[-1] != "A" else "B")
        page.fill("#recovery_key", mistyped)
        alice.button("page.unlock.submit").click()
        alice.see("HK-VLT-006")
        examine(alice)
        alice.link("page.unlock.use_passphrase").click()
        page.fill("#passphrase", passphrase)
        alice.button("page.unlock.submit").click()
        alice.see(page.get_by_role("heading", level=1, name=alice.say("page.sign_in.title")))
        page.fill("#name", "alice")
        page.fill("#password", PASSWORD)
        alice.button("page.sign_in.submit").click()
        alice.see(alice.say("chat.empty_title"))
        alice.look()
