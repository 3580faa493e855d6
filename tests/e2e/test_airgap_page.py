"""The proof of the air gap in headless Chromium: its page, its printed page, and what a page of the box may reach."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from playwright.sync_api import Browser

from appliance.health.airgap import report as reports
from tests.e2e.browser import WIDE, Visitor, add_person
from tests.simulators.served import ServedBox
from webui.locales import Language

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

SHOTS = os.environ.get("HAKO_SHOTS", "")
"""A folder for pictures of these pages, for who wants to look at them."""
LEAVE = """async (sink) => {
    const tried = []
    const attempt = async (name, work) => {
        try { await work(); tried.push(name) } catch (error) { tried.push(name) }
    }
    const add = (tag, values) => document.body.append(Object.assign(document.createElement(tag), values))
    await attempt('fetch', () => fetch(`http://${sink}/fetch`, { mode: 'no-cors' }))
    await attempt('img', () => add('img', { src: `http://${sink}/img` }))
    await attempt('script', () => add('script', { src: `http://${sink}/script` }))
    await attempt('style', () => add('link', { rel: 'stylesheet', href: `http://${sink}/style` }))
    await attempt('prefetch', () => add('link', { rel: 'prefetch', href: `http://${sink}/prefetch` }))
    await attempt('dns', () => add('link', { rel: 'dns-prefetch', href: `http://${sink}/` }))
    await attempt('frame', () => add('iframe', { src: `http://${sink}/frame` }))
    await attempt('audio', () => add('audio', { src: `http://${sink}/audio`, preload: 'auto' }))
    await attempt('beacon', () => navigator.sendBeacon(`http://${sink}/beacon`, 'x'))
    await attempt('events', () => new EventSource(`http://${sink}/events`))
    await attempt('socket', () => new WebSocket(`ws://${sink}/socket`))
    await attempt('worker', () => new Worker(`http://${sink}/worker`))
    await attempt('form', () => {
        const frame = Object.assign(document.createElement('iframe'), { name: 'there' })
        const form = document.createElement('form')
        Object.assign(form, { action: `http://${sink}/form`, method: 'post', target: 'there' })
        document.body.append(frame, form)
        form.submit()
    })
    await new Promise((done) => setTimeout(done, 1200))
    return tried
}"""


class Sink:
    """Listens on a port of loopback and notes the first line of whatever comes."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        self.requests: list[str] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                line, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._note, args=(line,), daemon=True).start()

    def _note(self, line: socket.socket) -> None:
        with line:
            line.settimeout(5)
            try:
                said = line.recv(4096).split(b"\r\n", 1)[0].decode("ascii", "replace")
            except OSError:
                return
            if said:
                self.requests.append(said)
                line.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n"
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedBox]:
    """With scripted models and without samples: every file of it is read for the report."""
    with ServedBox(tmp_path_factory.mktemp("a") / "v") as box:
        yield box


@pytest.fixture
def olga(browser: Browser, small: ServedBox, language: Language) -> Iterator[Visitor]:
    """An operator of it, signed in."""
    add_person(small, f"olga-{language}", "Olga", language)
    with Visitor(browser, small, language) as visitor:
        visitor.sign_in(f"olga-{language}")
        visitor.see(visitor.page.locator("#main"))
        yield visitor


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as listening:
        yield listening


def test_a_page_of_the_box_reaches_nothing_else_and_another_page_would(
    browser: Browser, small: ServedBox, sink: Sink
) -> None:
    add_person(small, "otto", "Otto", "en")
    with Visitor(browser, small, "en") as otto:
        otto.sign_in("otto")
        otto.see(otto.page.locator("#main"))
        state = otto.context.storage_state()
    context = browser.new_context(base_url=small.url, storage_state=state)
    try:
        page = context.new_page()
        for path in ("/chat", "/unlock", "/audit/airgap"):
            page.goto(path)
            assert len(page.evaluate(LEAVE, sink.address)) == 13
        assert sink.requests == []
        page.goto(f"http://{sink.address}/")  # a page without the policy, of the sink itself
        page.evaluate(LEAVE, sink.address)
        seen = {line.split()[1] for line in sink.requests}
        assert seen >= {"/fetch", "/img", "/script", "/style", "/frame", "/beacon", "/events", "/socket", "/form"}
    finally:
        context.close()


def shoot(olga: Visitor, name: str, *, whole: bool = True) -> None:
    if SHOTS:
        olga.page.screenshot(path=Path(SHOTS) / f"{name}-{olga.language}.png", full_page=whole, animations="disabled")


def test_an_operator_makes_the_report_prints_it_and_verifies_it_elsewhere(olga: Visitor, tmp_path: Path) -> None:
    page = olga.page
    olga.go("/audit/log", "tbody tr")
    olga.link("nav.airgap").click()
    olga.see(page.get_by_role("heading", name=olga.say("nav.airgap"), level=1))
    olga.see(olga.say("page.airgap.part.firewall"))
    olga.button("airgap.test").click()
    olga.see(olga.button("airgap.test"))  # it says that it works, as long as it does
    part = page.get_by_role("listitem").filter(has_text=olga.say("page.airgap.part.test"))
    part.get_by_text(olga.say("airgap.details")).click()
    olga.see(part.get_by_text(olga.say("page.airgap.place.documents")).first)
    olga.see(part.get_by_text("EPERM").first)
    olga.look()
    olga.button("airgap.make").click()
    olga.see(olga.say("airgap.made"))
    olga.see(olga.link("airgap.download"))
    with page.expect_download() as download:
        olga.link("airgap.download").click()
    file = tmp_path / "hako-airgap.json"
    download.value.save_as(file)
    fingerprint = page.locator(".command").inner_text().split()[-1]
    assert reports.verify(file, fingerprint).report().models.state == "ok"
    olga.look()
    shoot(olga, "airgap", whole=False)
    page.get_by_text(olga.say("page.airgap.part.models")).scroll_into_view_if_needed()
    shoot(olga, "airgap-below", whole=False)
    olga.resize((360, 740))
    shoot(olga, "airgap-narrow")
    olga.resize(WIDE)
    if SHOTS:
        page.emulate_media(color_scheme="dark")
        shoot(olga, "airgap-dark", whole=False)
        page.emulate_media(color_scheme="light")
    page.goto(f"/print/airgap?lang={olga.language}")
    olga.see(page.get_by_role("heading", name=olga.say("page.airgap.title"), level=1))
    olga.see(olga.say("page.airgap.print.print"))
    olga.look()
    shoot(olga, "print")
    paper = page.pdf(prefer_css_page_size=True)
    assert paper.startswith(b"%PDF")
    if SHOTS:
        (Path(SHOTS) / f"print-{olga.language}.pdf").write_bytes(paper)
