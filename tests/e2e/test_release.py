"""The release of the box is changed by browser: from a stick, across the restart, saved from a broken one, and back."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.e2e.axe import examine
from tests.e2e.browser import Visitor, add_person
from tests.e2e.changing import CHANGE_MS, NOTES, Publisher, brought, fresh, opens_itself, ordered, over, unlocked
from tests.simulators.served import PASSWORD, ServedBox
from webui.locales import Language

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def erin(browser: Browser, box: ServedBox, language: Language) -> Iterator[Visitor]:
    add_person(box, "erin", "Erin", language)
    with Visitor(browser, box, language) as visitor:
        visitor.expects(401, 409, 423, 503)
        visitor.expects_no_answer()
        visitor.sign_in("erin")
        visitor.see(visitor.page.locator("#main"))
        yield visitor


def test_changed_by_browser_then_saved_from_a_broken_release_then_gone_back(
    erin: Visitor, box: ServedBox, publisher: Publisher, media: Path
) -> None:
    publisher.trusted_by(box)

    # From the stick to the plan, and refused without the password.
    brought(erin, publisher.good, media, "0.2.0")
    erin.see(NOTES[erin.language])
    erin.see(erin.say("release.schema"))
    erin.see(erin.say("release.check_well"))
    erin.see(erin.say("release.check_backup_none"))
    examine(erin)
    erin.button("release.act", version="0.2.0").click()
    erin.see(erin.say("ui.own_password_missing"))
    erin.field("update.password").fill("wrong-horse-battery-staple")
    erin.button("release.act", version="0.2.0").click()
    erin.see(erin.say("me.wrong", n=4))

    # Ordered; the page stays while the box is away, and says that the vault has to be opened.
    opens_itself(box, answer=False)
    ordered(erin, "release.act", "0.2.0")
    erin.see(erin.say("release.run_to", version="0.2.0"))
    erin.look()
    unlocked(erin)
    erin.see(erin.say("release.look_document"))
    erin.look()
    over(erin, erin.say("release.end_kept", version="0.2.0"))
    examine(erin)
    fresh(erin, "0.2.0")
    erin.look()

    # A broken one: the box is back at the release before, and the page says why.
    brought(erin, publisher.bad, media, "0.3.0")
    erin.see(erin.say("release.measured"))
    erin.look()
    ordered(erin, "release.act", "0.3.0")
    over(erin, erin.say("release.end_taken_back", version="0.3.0", before="0.2.0"))
    erin.see(erin.say("release.reason_check-sign-in"))
    erin.look()
    fresh(erin, "0.2.0")
    erin.see(erin.say("release.reason_check-sign-in"))
    examine(erin)
    erin.link("release.plan_to", version="0.3.0").click()
    erin.see(erin.say("release.check_failed"))
    erin.look()
    erin.go("/operate/update", "h3")

    # Back to the release before; what was done since stays.
    with box.client() as client:
        client.post("/users", {"name": "frank", "display_name": "Frank", "password": PASSWORD})
    erin.link("release.back_to", version="0.1.0").click()
    erin.see(erin.say("release.keep_back"))
    examine(erin)
    ordered(erin, "release.act_back", "0.1.0")
    over(erin, erin.say("release.end_gone_back", version="0.2.0", before="0.1.0"))
    erin.look()
    fresh(erin, "0.1.0")
    with box.client() as client:
        assert {user["name"] for user in client.get("/users")["items"]} == {"erin", "frank"}


def test_a_release_on_trial_is_taken_back_by_who_watches_it(
    erin: Visitor, box: ServedBox, publisher: Publisher, media: Path
) -> None:
    publisher.trusted_by(box)
    brought(erin, publisher.good, media, "0.2.0")
    opens_itself(box, answer=False)  # so that the trial waits
    ordered(erin, "release.act", "0.2.0")
    erin.page.get_by_text(erin.say("release.sealed")).wait_for(timeout=CHANGE_MS)
    worker = box.processes()["worker"]
    os.kill(worker, signal.SIGSTOP)  # else the trial might be over before anybody can press a button
    try:
        unlocked(erin)
        erin.button("release.take_back").click()
        erin.see(erin.say("release.take_back_text"))
        erin.field("update.password", within=erin.dialog).fill(PASSWORD)
        erin.button("release.take_back", within=erin.dialog).click()
        erin.see(erin.say("release.run_back"))
    finally:
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGCONT)
    over(erin, erin.say("release.end_taken_back", version="0.2.0", before="0.1.0"))
    erin.see(erin.say("release.reason_operator", name="erin"))
    erin.see(erin.say("release.next_by_hand"))
    erin.look()
