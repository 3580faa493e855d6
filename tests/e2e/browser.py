"""A person in front of headless Chromium, who knows the box's own words and notes what must not happen on a page."""

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserType, ConsoleMessage, Locator, Page, Request, StorageState, expect

from tests.simulators.served import PASSWORD, RunningBox
from webui import locales
from webui.locales import Language

ARGUMENTS: Final = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-quic", "--no-first-run",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
WIDE: Final = (1440, 900)
NARROW: Final = (360, 740)
WAIT_MS: Final = 30_000
"""Until something is on the page; answers of the tiny model and the reading of documents take longest."""

_PLURAL: Final = re.compile(r"\{(\w+):([^|}]*)\|([^}]*)\}")
_REFUSED: Final = re.compile(r"status of (\d{3})")
_OUTSIDE: Final = frozenset({"http", "https", "ws", "wss"})
_TELL_VIOLATIONS: Final = """
addEventListener('securitypolicyviolation', (event) =>
    console.error(`policy: ${event.effectiveDirective} forbids ${event.blockedURI} ${event.sample}`))
"""
_WIDER_THAN_THE_WINDOW: Final = """() => {
    const room = document.documentElement
    const found = [...document.querySelectorAll('body *')].filter((one) =>
        one.scrollWidth > one.clientWidth + 1 && /auto|scroll/.test(getComputedStyle(one).overflowX)
        && !one.matches('pre, .scroll-x, .tabs'))
    if (room.scrollWidth > innerWidth) found.push(room)
    if (document.querySelector('.app') && room.scrollHeight > innerHeight) found.push(room)
    return found.map((one) => `${one.tagName} ${one.className} ${one.scrollWidth} x ${one.scrollHeight}`)
}"""
"""Scrolls sideways, or (the app is as tall as the window) shows empty ground below itself."""


def launch(engine: BrowserType) -> Browser:
    """The system's Chromium; none is downloaded."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert path, "The journeys need Chromium. On Debian: apt-get install chromium"
    return engine.launch(executable_path=path, args=list(ARGUMENTS))


def word(language: Language, key: str, /, **values: str | int) -> str:
    """A sentence as the pages say it: `{n:page|pages}` chooses by number."""
    text = locales.catalogue(language)[key]
    text = _PLURAL.sub(lambda found: found[2] if values[found[1]] == 1 else found[3], text)
    return text.format_map(values)


class Visitor:
    """One browser context on one box. Leaving fails on any complaint of a page that was visited."""

    def __init__(
        self, browser: Browser, box: RunningBox, language: Language, *, signed_in: StorageState | None = None
    ) -> None:
        self.box, self.language = box, language
        self.faults: list[str] = []
        self._expected: set[int] = set()
        self._silence = ""
        self.context = browser.new_context(
            base_url=box.url,
            locale="ja-JP" if language == "ja" else "en-GB",
            viewport={"width": WIDE[0], "height": WIDE[1]},
            reduced_motion="reduce",
            storage_state=signed_in,
        )
        self.context.set_default_timeout(WAIT_MS)
        self.context.add_init_script(_TELL_VIOLATIONS)
        self.context.on("console", self._heard)
        self.context.on("request", self._requested)
        self.context.on("weberror", lambda error: self.faults.append(f"error: {error.error}"))
        self.page: Page = self.context.new_page()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.context.close()
        if error is None:
            assert not self.faults, self.faults

    # -- what must not happen

    def expects(self, *statuses: int) -> None:
        """Refusals that belong to the journey; the browser reports each on the console."""
        self._expected.update(statuses)

    def expects_no_answer(self) -> None:
        """The box goes away during the journey; the browser reports each question that nobody answers."""
        self._silence = "net::ERR_"

    @contextmanager
    def breaking(self) -> Iterator[None]:
        """The journey itself breaks requests off meanwhile; the browser reports each, tried again and again."""
        self._silence = "net::ERR_FAILED"
        yield
        self._silence = ""

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning") or (self._silence and self._silence in message.text):
            return
        refused = _REFUSED.search(message.text)
        if not (refused and int(refused[1]) in self._expected):
            self.faults.append(f"console: {message.text} {message.location['url']}")

    def _requested(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme in _OUTSIDE and address.netloc != urlsplit(self.box.url).netloc:
            self.faults.append(f"request to {request.url}")

    def resize(self, size: tuple[int, int]) -> None:
        """Change the window and wait until the page was drawn anew."""
        self.page.set_viewport_size({"width": size[0], "height": size[1]})
        self.page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")

    def look(self) -> None:
        """The page that is shown has no complaint so far and fits a narrow window."""
        self.resize(NARROW)
        wider = self.page.evaluate(_WIDER_THAN_THE_WINDOW)
        self.resize(WIDE)
        assert not wider, (self.page.url, wider)
        assert not self.faults, (self.page.url, self.faults)

    def photograph(self, file: Path) -> None:
        """The window as it is shown now, without what moves."""
        self.page.mouse.move(1, 1)  # where nothing reacts to it
        self.page.evaluate("() => document.fonts.ready")
        file.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=file, animations="disabled", caret="hide")

    # -- what people do

    def say(self, key: str, /, **values: str | int) -> str:
        """A sentence in this person's language."""
        return word(self.language, key, **values)

    def go(self, path: str, shows: str = "h1:visible") -> None:
        """Open an address and wait for what it shows (CSS)."""
        self.page.goto(path)
        self.see(self.page.locator(shows).first)

    def see(self, what: Locator | str) -> None:
        """Wait for an element, or for words anywhere on the page."""
        expect(self.page.get_by_text(what).first if isinstance(what, str) else what).to_be_visible(timeout=WAIT_MS)

    def button(self, key: str, /, within: Locator | None = None, **values: str | int) -> Locator:
        """A button by its words."""
        return (within or self.page).get_by_role("button", name=self.say(key, **values), exact=True)

    def link(self, key: str, /, within: Locator | None = None, **values: str | int) -> Locator:
        """A link by its words."""
        return (within or self.page).get_by_role("link", name=self.say(key, **values), exact=True)

    def field(self, key: str, /, within: Locator | None = None) -> Locator:
        """A field by its label."""
        return (within or self.page).get_by_label(self.say(key), exact=True)

    def pick(self, key: str) -> None:
        """An entry of the menu that is open."""
        self.page.get_by_role("menuitem", name=self.say(key), exact=True).click()

    @property
    def dialog(self) -> Locator:
        """The dialog that is open."""
        return self.page.locator("dialog[open]")

    def sign_in(self, name: str, password: str = PASSWORD) -> None:
        """By the sign-in page, from wherever one is."""
        self.go("/sign-in", "#name")
        self.page.fill("#name", name)
        self.page.fill("#password", password)
        self.button("page.sign_in.submit").click()

    def ask(self, question: str) -> None:
        """Type into the composer and send; returns when the answer has begun."""
        field = self.field("chat.ask_label")
        field.fill(question)
        field.press("Enter")
        self.see(self.page.locator(".said", has_text=question).last)

    @property
    def answers(self) -> Locator:
        """The answers of the chat that is open."""
        return self.page.locator("article.answer")

    def finished(self, count: int = 1) -> Locator:
        """Wait until the newest of so many answers has ended; returns it."""
        expect(self.answers).to_have_count(count, timeout=WAIT_MS)
        newest = self.answers.last
        self.see(newest.locator(".foot"))
        return newest


def add_person(box: RunningBox, name: str, display_name: str, language: Language, role: str = "operator") -> None:
    """An account, made on the admin socket."""
    person = {"name": name, "display_name": display_name, "password": PASSWORD, "role": role, "language": language}
    with box.client() as client:
        client.post("/users", person)


def texts(found: Locator) -> Sequence[str]:
    """What stands in each, without outer white space."""
    return [text.strip() for text in found.all_inner_texts()]
