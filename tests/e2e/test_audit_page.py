"""The record of actions in headless Chromium on a real box, in both languages: reading, verifying, taking note."""

import pytest
from playwright.sync_api import Browser, expect

from appliance.config import Settings
from appliance.storage import audit_export
from tests.e2e.browser import Visitor, add_person
from tests.simulators.served import PASSWORD, ServedBox
from webui.locales import Language

pytestmark = [pytest.mark.browser, pytest.mark.models, pytest.mark.timeout(400)]


@pytest.fixture
def erased(served: ServedBox, language: Language) -> str:
    """Somebody who was added and is gone again; their id."""
    name = f"carol-{language}"
    add_person(served, name, "Carol", language, "member")
    with served.client() as client:
        found = next(each["id"] for each in client.get("/users")["items"] if each["name"] == name)
        client.delete(f"/users/{found}")
    return found


def test_an_auditor_reads_who_did_what_and_verifies_an_export_elsewhere(
    alice: Visitor, erased: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    page = alice.page
    alice.go("/chat", "textarea")
    alice.link("nav.audit").click()
    alice.see(page.get_by_role("heading", name=alice.say("nav.record"), level=1))
    rows = page.locator("tbody tr")
    terminal = alice.say("audit.actor.terminal")
    gone = alice.say("audit.state.gone", name=f"{erased[:12]}…")
    told = alice.say("audit.said.user-deleted", who=terminal, what=gone)
    row = rows.filter(has_text=told)
    alice.see(row)
    alice.look()
    row.get_by_role("link").click()
    side = page.get_by_role("complementary")
    alice.see(side.get_by_text(erased, exact=True))
    alice.see(side.get_by_text("user-deleted", exact=True))
    alice.look()
    alice.button("audit.only_group", side).click()
    expect(page).to_have_url(f"{alice.box.url}/audit/log?group=people")
    expect(rows.filter(has_text=told)).to_have_count(1)
    alice.field("audit.filter_time").select_option("own")
    alice.field("audit.to_day").fill("2020-01-01")
    alice.see(alice.say("audit.none"))
    alice.button("audit.clear").click()
    expect(rows.filter(has_text=told)).to_have_count(1)

    alice.button("audit.verify").click()
    alice.see(page.get_by_role("heading", name=alice.say("audit.sound")))
    alice.see(page.locator(".command", has_text="hako audit verify hako-audit.jsonl --key "))
    with page.expect_download() as download:
        alice.link("audit.export_act").click()
    file = tmp_path_factory.mktemp("x") / "hako-audit.jsonl"
    download.value.save_as(file)
    key = page.locator(".command").inner_text().split()[-1]
    assert audit_export.verify(file, bytes.fromhex(key)).report.is_sound
    alice.look()


def test_an_operator_takes_note_of_what_does_not_fit(alice: Visitor, served: ServedBox) -> None:
    alice.expects(401)
    page, reason = alice.page, f"A test wrote into it ({alice.language})"
    with Settings(data_dir=served.folder).audit_checkpoints.open("a") as file:
        file.write("nothing that this box has signed\n")
    alice.go("/audit/log", "tbody tr")
    alice.button("audit.verify").click()
    alice.see(alice.say("audit.means.forged"))
    alice.look()
    alice.button("audit.accept").click()
    accept = alice.button("audit.accept", alice.dialog)
    accept.click()
    alice.see(alice.say("audit.accept_reason_missing"))
    alice.field("audit.accept_reason", alice.dialog).fill(reason)
    alice.field("ui.own_password", alice.dialog).fill("wrong")
    accept.click()
    alice.see(alice.dialog.get_by_text("HK-AUTH-002"))
    alice.field("ui.own_password", alice.dialog).fill(PASSWORD)
    accept.click()
    alice.see(page.get_by_role("heading", name=alice.say("audit.sound")))
    with served.client() as client:
        noted = client.get("/audit", action="audit-findings-accepted", limit="1")["items"][0]
    assert (noted["detail"]["reason"], noted["actor"]) == (reason, f"alice-{alice.language}")
    alice.go(f"/audit/log?entry={noted['number']}", "aside")
    alice.see(page.get_by_role("complementary").get_by_text(reason))


def test_a_member_meets_neither_the_room_nor_the_page(browser: Browser, served: ServedBox, language: Language) -> None:
    add_person(served, f"mallory-audit-{language}", "Mallory", language, "member")
    with Visitor(browser, served, language) as mallory:
        mallory.sign_in(f"mallory-audit-{language}")
        mallory.see(mallory.page.locator("#main"))
        expect(mallory.link("nav.audit")).to_have_count(0)
        mallory.go("/audit/log", ".empty")
        mallory.see(mallory.say("error.HK-AUTH-003"))
        mallory.look()
