"""A chat that follows a preset, in headless Chromium on a real box, in both languages."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.axe import examine
from tests.e2e.browser import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.models, pytest.mark.timeout(400)]

RULE = {"ja": "短く書いてください。", "en": "Be brief."}
PROMPT = {"ja": "海について書いてください。", "en": "Write about the sea."}


def presets(alice: Visitor, method: str, path: str = "", **content: Any) -> dict[str, Any]:
    """Alice's own, over the API."""
    sent = alice.context.request.fetch(f"/api/v1/presets{path}", method=method, data=content or None)
    assert sent.ok, sent.text()
    return dict(sent.json()) if sent.status != 204 else {}


def choose(alice: Visitor, name: str) -> None:
    alice.page.locator(".pick-preset").click()
    alice.page.get_by_role("menuitemradio", name=name).click()


def test_a_chat_follows_a_preset_from_its_first_question_and_says_so(alice: Visitor) -> None:
    page, language = alice.page, alice.language
    name = f"Brief words {language}"
    made = presets(alice, "POST", name=name, system=RULE[language], sampling={"max_tokens": 4, "temperature": 0})
    alice.go("/chat", ".pick-preset")
    choose(alice, name)
    note = page.locator(".preset")
    alice.see(note.get_by_text(alice.say("play.chat_follows", name=name)))
    alice.see(alice.say("play.chat_vain"))  # the sample base is chosen, and the model only picks sentences of it
    alice.look()
    page.locator(".pick[aria-pressed=true]").first.click()
    page.get_by_role("menuitemcheckbox", checked=True).first.click()
    page.keyboard.press("Escape")
    expect(page.get_by_text(alice.say("play.chat_vain"))).to_have_count(0)

    alice.ask(PROMPT[language])
    alice.see(alice.finished().get_by_text(alice.say("chat.cut")))
    page.reload()
    note.locator("summary").click()
    alice.see(note.get_by_text(RULE[language]))
    expect(note.locator("dd").first).to_have_text("4")
    examine(alice)
    alice.look()

    presets(alice, "PATCH", f"/{made['id']}", system="…")
    page.reload()
    note.locator("summary").click()
    alice.see(alice.say("play.chat_changed"))
    alice.see(note.get_by_text(RULE[language]))
    presets(alice, "DELETE", f"/{made['id']}")
    page.reload()
    note.locator("summary").click()
    alice.see(alice.say("play.chat_gone"))
    alice.see(alice.answers.first)  # all of it can still be read

    choose(alice, alice.say("play.chat_none"))
    expect(note).to_have_count(0)
    page.reload()
    alice.see(alice.answers.first)
    alice.see(page.locator(".pick-preset"))
    expect(note).to_have_count(0)
    expect(page.locator(".pick-preset")).to_have_attribute("aria-pressed", "false")


def test_the_menu_of_presets_has_no_barrier(alice: Visitor) -> None:
    made = presets(alice, "POST", name=f"In a menu {alice.language}", sampling={"top_k": 1})
    alice.go("/chat", ".pick-preset")
    alice.page.locator(".pick-preset").click()
    alice.see(alice.page.get_by_role("menuitemradio", name=made["name"]))
    alice.see(alice.say("play.given", n=1))
    examine(alice)
    alice.page.keyboard.press("Escape")
    alice.look()
    presets(alice, "DELETE", f"/{made['id']}")
