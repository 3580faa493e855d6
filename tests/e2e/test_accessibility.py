"""axe-core finds nothing on any page of the app; those before signing in are examined in test_first_boot."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, StorageState

from tests.e2e.axe import examine
from tests.e2e.browser import Visitor
from tests.simulators.served import ServedBox
from webui.locales import Language

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

ASKED = {"ja": "回復キーは、いつ必要ですか。", "en": "What is the recovery key for?"}
Act = Callable[[Visitor], None]


@pytest.fixture(scope="session")
def places(
    browser: Browser, served: ServedBox, signed_in: Callable[[Language], StorageState]
) -> Callable[[Language], dict[str, str]]:
    """What there is to look at for each language: a base with a document that can't be read, and a chat."""
    made: dict[Language, dict[str, str]] = {}

    def make(language: Language) -> dict[str, str]:
        if language not in made:
            with Visitor(browser, served, language, signed_in=signed_in(language)) as alice:
                made[language] = _fill(alice)
        return made[language]

    return make


def _fill(alice: Visitor) -> dict[str, str]:
    def post(path: str, **data: Any) -> dict[str, Any]:
        sent = alice.context.request.post(f"/api/v1{path}", **data)
        assert sent.ok, sent.text()
        return dict(sent.json())

    base = post("/bases", data={"name": f"Examined {alice.language}", "visibility": "everyone"})["id"]
    note = {"name": "note.md", "mimeType": "text/markdown", "buffer": f"# {ASKED[alice.language]}\n\nHako.".encode()}
    broken = {"name": "broken.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7"}
    document = post(f"/bases/{base}/documents", multipart={"file": note})["id"]
    post(f"/bases/{base}/documents", multipart={"file": broken})
    sample = next(one for one in alice.context.request.get("/api/v1/bases").json()["items"] if one["system"])
    chat = post("/chats", data={"base_ids": [sample["id"]]})["id"]
    post(f"/chats/{chat}/messages", data={"text": ASKED[alice.language], "parent_id": None})
    alice.box.wait_for_documents(base)
    until = time.monotonic() + 60
    while alice.context.request.get(f"/api/v1/chats/{chat}").json()["messages"][-1]["state"] == "running":
        assert time.monotonic() < until
        time.sleep(0.1)
    return {"base": base, "document": document, "chat": chat}


def _open_source(alice: Visitor) -> None:
    alice.finished().locator(".prose [data-cite]").first.click()
    alice.see(alice.page.locator(".source mark"))


def _search(alice: Visitor) -> None:
    alice.field("test.query").fill(ASKED[alice.language])
    alice.button("test.act").click()
    alice.see(alice.page.locator(".hit").first)


def _play(alice: Visitor) -> None:
    alice.field("play.user").fill(ASKED[alice.language])
    alice.field("play.max_tokens").fill("8")
    alice.button("play.run").click()
    alice.see(alice.say("play.cut"))
    alice.page.locator(".tok").first.focus()
    alice.see(alice.page.locator(".odds .chosen"))


def _name_preset(alice: Visitor) -> None:
    alice.button("play.preset_acts").click()
    alice.pick("play.preset_save")
    alice.see(alice.dialog)


def _open(key: str) -> Act:
    def click(alice: Visitor) -> None:
        alice.button(key).click()
        alice.see(alice.dialog)

    return click


def _menu(alice: Visitor) -> None:
    alice.button("nav.account").click()
    alice.see(alice.page.get_by_role("menu"))


def _palette(alice: Visitor) -> None:
    alice.page.keyboard.press("Control+k")
    alice.see(alice.page.get_by_role("listbox"))


PAGES: dict[str, tuple[str, str, Act | None]] = {
    "new chat": ("/chat", "textarea", None),
    "chat with a source": ("/chat/{chat}", ".answer .foot", _open_source),
    "palette": ("/chat", "textarea", _palette),
    "own menu": ("/chat", "textarea", _menu),
    "bases": ("/docs", ".box", None),
    "new base": ("/docs", ".box", _open("nav.new_base")),
    "base": ("/docs/{base}", "tbody tr", None),
    "retrieval test": ("/docs/{base}/test", "textarea", _search),
    "base settings": ("/docs/{base}/settings", "textarea", None),
    "document": ("/docs/{base}/{document}?p=1&s=0", ".paper mark", None),
    "playground": ("/playground", ".col", _play),
    "new preset": ("/playground", ".col", _name_preset),
    "own page": ("/me", ".rows li", None),
    "new key": ("/me", ".rows li", _open("me.new_key")),
    "overview": ("/operate", ".tiles li", None),
    "wall links": ("/operate", ".tiles li", _open("status.wall")),
    "where alerts go": ("/operate", ".tiles li", _open("status.alerts_set")),
    "wall display": ("/wall", "#lamps", None),
    "models": ("/operate/models", "table", None),
    "model import": ("/operate/models/import", ".steps", None),
    "model": ("/operate/models/smollm2-135m-instruct", "form", None),
    "capacity": ("/operate/capacity", "table", None),
    "updates": ("/operate/update", ".steps", None),
    "whom to trust": ("/operate/update", ".steps", _open("update.trust_set")),
    "schedule of backups": ("/operate/backup", ".checks", _open("backup.schedule_set")),
    "machine": ("/operate/machine", ".kv", None),
    "people": ("/operate/users", "table", None),
    "new person": ("/operate/users", "table", _open("operate.add_user")),
    "manual": ("/help/operate", ".prose table", None),
    "nowhere": ("/nowhere", "main", None),
}


@pytest.mark.models
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_on(name: str, alice: Visitor, places: Callable[[Language], dict[str, str]]) -> None:
    path, shows, act = PAGES[name]
    alice.go(path.format_map(places(alice.language)), shows)
    if act:
        act(alice)
    examine(alice)


@pytest.mark.models
def test_axe_sees_a_button_without_words(browser: Browser, served: ServedBox) -> None:
    with Visitor(browser, served, "en") as nobody:
        nobody.go("/sign-in")
        nobody.page.evaluate("document.querySelector('main').append(document.createElement('button'))")
        with pytest.raises(AssertionError, match="button-name"):
            examine(nobody)
