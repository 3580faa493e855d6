"""axe-core finds nothing on any page: both languages, light and dark, wide and narrow."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, StorageState

from appliance.config import REPOSITORY
from tests.e2e.browser import NARROW, WIDE, Visitor
from tests.simulators.served import ServedBox
from webui.locales import Language

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

AXE = REPOSITORY / "webui" / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
RUN = """async () => {
    const rules = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
    const { violations } = await axe.run(document, { runOnly: rules, resultTypes: ['violations'] })
    return violations.flatMap(({ id, nodes }) => nodes.map(({ target, html }) => `${id}: ${target} ${html}`))
}"""
ASKED = {"ja": "回復キーは、いつ必要ですか。", "en": "What is the recovery key for?"}
Act = Callable[[Visitor], None]


def examine(visitor: Visitor) -> None:
    """Run axe over the page that is shown, in every look."""
    page = visitor.page
    page.evaluate(AXE.read_text("utf-8"))
    found = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for size in (WIDE, NARROW):
            visitor.resize(size)
            if violations := page.evaluate(RUN):
                found[scheme, size[0]] = violations
    page.emulate_media(color_scheme="light")
    visitor.resize(WIDE)
    assert not found, (page.url, found)
    assert not visitor.faults, (page.url, visitor.faults)


@pytest.fixture(scope="session", autouse=True)
def axe() -> None:
    if not AXE.exists():
        pytest.skip("the packages of the front end are not installed: make ui")


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
    "own page": ("/me", ".rows li", None),
    "new key": ("/me", ".rows li", _open("me.new_key")),
    "models": ("/operate/models", "table", None),
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


def test_axe_finds_nothing_on_the_pages_before_signing_in(tmp_path: Path, browser: Browser, language: Language) -> None:
    with ServedBox(tmp_path / "v") as box, Visitor(browser, box, language) as alice:
        link = re.search(r"/setup\?token=\S+", box.output)
        assert link
        alice.expects(401, 403, 422)
        alice.go(link[0])
        examine(alice)
        alice.page.locator(f"button[value={language}]").click()
        alice.page.fill("#display_name", "Alice")
        alice.page.fill("#name", "alice")
        alice.page.fill("#password", "password")
        alice.button("page.setup.account.submit").click()
        alice.see("HK-AUTH-005")
        examine(alice)
        alice.page.fill("#password", "correct-horse-battery-staple")
        alice.button("page.setup.account.submit").click()
        alice.see(alice.page.locator("#recovery-key"))
        examine(alice)
        alice.button("page.setup.recovery.submit").click()
        alice.page.fill("#group", "00000")
        alice.button("page.setup.confirm.submit").click()
        alice.see(alice.say("page.setup.confirm.wrong"))
        examine(alice)
        alice.context.clear_cookies()
        alice.go(link[0])
        alice.see("HK-AUTH-007")
        examine(alice)
        alice.sign_in("alice", "certainly-not-the-password")
        alice.see("HK-AUTH-002")
        examine(alice)
        _seal(box)
        alice.expects(423)
        alice.go("/unlock")
        examine(alice)
        alice.link("page.unlock.use_recovery_key").click()
        examine(alice)


def _seal(box: ServedBox) -> None:
    """Start it again without its passphrase file."""
    box.stop()
    (box.folder / "dev-passphrase").unlink()
    box.start("--no-question")
