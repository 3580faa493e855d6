"""The release of the box is changed by browser: from a stick, across the restart, saved from a broken one, and back."""

import hashlib
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from appliance import config
from tests.e2e.axe import examine
from tests.e2e.browser import Visitor, add_person
from tests.simulators import releases
from tests.simulators.publishing import PublishersTerminal
from tests.simulators.served import PASSWORD, ServedBox
from webui.locales import Language

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]

NOTES = {"ja": "表の読み取りを改善しました。", "en": "Tables are read better."}
CHANGE_MS = 240_000
"""Until a change has ended: the box stops, starts and looks at itself at least twice."""


@dataclass(frozen=True)
class Publisher:
    """`good` and `bad`: sticks with release 0.2.0, and with 0.3.0, in which nobody can sign in."""

    root: Path
    good: Path
    bad: Path

    def trusted_by(self, box: ServedBox) -> None:
        root = self.root.read_bytes()
        with box.client() as client:
            client.put("/bundles/trust", {"root": root.decode(), "fingerprint": hashlib.sha256(root).hexdigest()})


@pytest.fixture(scope="module")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Publisher:
    folder = tmp_path_factory.mktemp("publisher")
    terminal = PublishersTerminal(folder)
    lock = releases.everything_else(folder / "wheels")
    steps = ("CHAT_PRESETS,\n", 'CHAT_PRESETS, "create table later (id text) strict;",\n')
    migrating = {"appliance/storage/migrations.py": steps}
    words = [folder / f"notes.{language}" for language in NOTES]
    for file in words:
        file.write_text(NOTES[file.suffix[1:]], "utf-8")
    told = [word for file in words for word in (f"--notes-{file.suffix[1:]}", str(file))]
    good = terminal.release(releases.wheel(folder, "0.2.0", 2, migrating), lock, 2, "--floor", "1", *told)
    terminal.hako("write", terminal.repository, folder / "GOOD", "--only", good)
    broken = {
        **migrating,
        "webui/pages/sign_in.py": ("services.users.verify(name, password)", "services.users.verify(name, name)"),
    }
    bad = terminal.release(releases.wheel(folder, "0.3.0", 3, broken), lock, 3)
    terminal.hako("write", terminal.repository, folder / "BAD", "--only", bad)
    return Publisher(terminal.root, folder / "GOOD", folder / "BAD")


@pytest.fixture
def erin(browser: Browser, box: ServedBox, language: Language) -> Iterator[Visitor]:
    add_person(box, "erin", "Erin", language)
    with Visitor(browser, box, language) as visitor:
        visitor.expects(401, 409, 423, 503)
        visitor.expects_no_answer()
        visitor.sign_in("erin")
        visitor.see(visitor.page.locator("#main"))
        yield visitor


def opens_itself(box: ServedBox, answer: bool) -> None:
    """Whether the next start finds the passphrase in its file, or somebody has to enter it."""
    settings = box.folder / "hako.toml"
    first, rest = settings.read_text("utf-8").split("\n", maxsplit=1)
    assert first.startswith("development = ")
    settings.write_text(f"development = {str(answer).lower()}\n{rest}", "utf-8")


def unlocked(erin: Visitor) -> None:
    """From the page that says so, to the page again."""
    erin.page.get_by_text(erin.say("release.sealed")).wait_for(timeout=CHANGE_MS)
    erin.look()
    erin.link("release.unlock").click()
    erin.see(erin.say("page.unlock.trial", version="0.2.0"))
    erin.look()
    opens_itself(erin.box, answer=True)
    passphrase = config.load(data_dir=erin.box.folder).passphrase_file.read_text("utf-8").strip()
    erin.page.fill("#passphrase", passphrase)
    erin.button("page.unlock.submit").click()


def brought(erin: Visitor, stick: Path, media: Path, version: str) -> None:
    """Taken from a stick, to the plan of the change."""
    plugged = shutil.copytree(stick, media / stick.name)
    erin.go("/operate/update", "h3")
    erin.button("update.open_of", name=stick.name).click()
    erin.field("update.password").fill(PASSWORD)
    erin.button("update.act").click()
    erin.page.get_by_text(erin.say("update.done", name="hako", version=version)).wait_for(timeout=CHANGE_MS)
    erin.look()
    shutil.rmtree(plugged)
    erin.link("release.see_plan").click()
    erin.see(erin.page.get_by_role("form", name=erin.say("update.confirm")))


def ordered(erin: Visitor, key: str, version: str) -> None:
    erin.field("update.password").fill(PASSWORD)
    erin.button(key, version=version).click()


def over(erin: Visitor, words: str) -> None:
    """The change has ended."""
    erin.page.get_by_text(words).first.wait_for(timeout=CHANGE_MS)


def fresh(erin: Visitor, version: str) -> None:
    """The card, on a page of the release that runs now."""
    erin.button("release.see").click()
    card = erin.page.get_by_role("region", name=erin.say("release.card"))
    erin.see(card.get_by_text(version).first)


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
    erin.see(erin.say("update.password_missing"))
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
