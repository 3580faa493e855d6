"""An operator changes the release of a box by browser: the publisher's sticks, and the steps that journeys share."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from appliance import config
from tests.e2e.browser import Visitor
from tests.simulators import releases
from tests.simulators.publishing import PublishersTerminal
from tests.simulators.served import PASSWORD, RunningBox, ServedBox

NOTES = {"ja": "表の読み取りを改善しました。", "en": "Tables are read better."}
CHANGE_MS = 240_000
"""Until a change has ended: the box stops, starts and looks at itself at least twice."""


@dataclass(frozen=True)
class Publisher:
    """`good` and `bad`: sticks with release 0.2.0, and with 0.3.0, in which nobody can sign in."""

    root: Path
    good: Path
    bad: Path

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.root.read_bytes()).hexdigest()

    def trusted_by(self, box: ServedBox) -> None:
        with box.client() as client:
            client.put("/bundles/trust", {"root": self.root.read_text("utf-8"), "fingerprint": self.fingerprint})


def published(folder: Path) -> Publisher:
    """Builds the wheels of both releases: a minute."""
    terminal = PublishersTerminal(folder)
    lock = releases.everything_else(folder / "wheels")
    words = [folder / f"notes.{language}" for language in NOTES]
    for file in words:
        file.write_text(NOTES[file.suffix[1:]], "utf-8")
    told = [word for file in words for word in (f"--notes-{file.suffix[1:]}", str(file))]
    good = terminal.release(releases.wheel(folder, "0.2.0", 2, releases.migrating(1)), lock, 2, "--floor", "1", *told)
    terminal.hako("write", terminal.repository, folder / "GOOD", "--only", good)
    broken = {**releases.migrating(1), **releases.NOBODY_SIGNS_IN}
    bad = terminal.release(releases.wheel(folder, "0.3.0", 3, broken), lock, 3)
    terminal.hako("write", terminal.repository, folder / "BAD", "--only", bad)
    return Publisher(terminal.root, folder / "GOOD", folder / "BAD")


def opens_itself(box: RunningBox, answer: bool) -> None:
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
