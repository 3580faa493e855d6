"""A box's life by browser: asked, updated from a stick, saved from a broken release, backed up, restored elsewhere.

What each station looks like lies in `.build/life` afterwards, in both languages. The same at the terminal, with more of
the publisher's side: `tests/lifecycle/whole_life.py`.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser

from appliance import config
from appliance.config import REPOSITORY
from appliance.vault.client import KeysClient
from tests.e2e.browser import Visitor, add_person
from tests.e2e.changing import CHANGE_MS, NOTES, Publisher, brought, fresh, opens_itself, ordered, over, unlocked
from tests.e2e.prepared import own_models
from tests.simulators.served import PASSWORD, RunningBox, ServedBox, typed
from webui.locales import Language

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]

SHOTS: Final = REPOSITORY / ".build" / "life"
DOCUMENT: Final = {
    "ja": "# ボイラー室\n\nボイラー室の鍵は青い扉の裏に掛けてあります。持ち出した人は名前を帳面に書きます。\n",
    "en": "# The boiler room\n\nThe key of the boiler room hangs behind the blue door. Who takes it writes it down.\n",
}
QUESTION: Final = {"ja": "ボイラー室の鍵はどこにありますか。", "en": "Where does the key of the boiler room hang?"}
ANSWER: Final = {"ja": "青い扉の裏", "en": "behind the blue door"}
Shoot = Callable[[Visitor, str], None]


@pytest.fixture
def shoot(language: Language) -> Shoot:
    """Keeps what a station looks like, once nothing is wrong with the page."""
    taken: list[str] = []

    def keep(visitor: Visitor, name: str) -> None:
        visitor.look()
        taken.append(name)
        visitor.photograph(SHOTS / f"{language}-{len(taken):02}-{name}.png")

    return keep


def asks(erin: Visitor, count: int) -> None:
    """In the chat that is open; the answer says it, with its source."""
    erin.ask(QUESTION[erin.language])
    answer = erin.finished(count)
    answer.locator(".prose [data-cite]").first.click()
    erin.see(erin.page.locator(".source mark").get_by_text(ANSWER[erin.language]).first)


def backed_up(erin: Visitor, stick: Path, shoot: Shoot) -> None:
    """To a stick, and seen that it is good."""
    stick.mkdir()
    erin.go("/operate/backup", "h3")
    erin.page.get_by_role("radio", name=stick.name).check()
    form = erin.page.get_by_role("form", name=erin.say("backup.make"))
    erin.field("update.password", within=form).fill(PASSWORD)
    erin.button("backup.make_act").click()
    erin.see(erin.say("backup.done_create"))
    erin.button("backup.rehearse").click()
    erin.see(erin.say("backup.done_rehearse"))
    shoot(erin, "backed-up-and-rehearsed")


def test_a_box_lives_on_through_releases_and_on_another_machine(
    browser: Browser, publisher: Publisher, media: Path, tmp_path: Path, language: Language, shoot: Shoot,
    models: Path,
) -> None:  # fmt: skip
    own = own_models(tmp_path / "models")
    with ServedBox(tmp_path / "v", models=own, extra=f'storage.media = ["{media}"]') as box:
        add_person(box, "erin", "Erin", language)
        document = tmp_path / "boiler-room.md"
        document.write_text(DOCUMENT[language], "utf-8")
        assert box.hako("kb", "add", str(document), "--kb", "house").returncode == 0
        recovery_key = KeysClient(config.load(data_dir=box.folder).keys_socket).new_recovery()
        publisher.trusted_by(box)
        with Visitor(browser, box, language) as erin:
            erin.expects(401, 409, 423, 503)
            erin.expects_no_answer()
            erin.sign_in("erin")
            erin.go("/chat", "textarea")
            asks(erin, 1)
            shoot(erin, "asked-before")
            chat = erin.page.url

            # From the stick to the plan.
            erin.go("/operate/update", "h3")
            plugged = shutil.copytree(publisher.good, media / "STICK")
            erin.button("operate.bring_look").click()
            erin.see(erin.page.get_by_text("STICK").first)
            shoot(erin, "stick-found")
            erin.button("update.open_of", name="STICK").click()
            erin.see(erin.say("update.check_signed"))
            erin.see(NOTES[language])
            shoot(erin, "signed-by-whom")
            erin.field("update.password").fill(PASSWORD)
            erin.button("update.act").click()
            over(erin, erin.say("update.done", name="hako", version="0.2.0"))
            shutil.rmtree(plugged)
            erin.link("release.see_plan").click()
            erin.see(erin.page.get_by_role("form", name=erin.say("update.confirm")))
            shoot(erin, "plan")

            # Ordered, unlocked, tried, kept.
            opens_itself(box, answer=False)
            ordered(erin, "release.act", "0.2.0")
            erin.page.get_by_text(erin.say("release.sealed")).wait_for(timeout=CHANGE_MS)
            erin.see(erin.say("nav.vault_sealed"))
            shoot(erin, "sealed-after-the-restart")
            unlocked(erin)
            erin.see(erin.say("release.look_document"))
            erin.see(erin.say("nav.vault_open"))
            shoot(erin, "on-trial")
            over(erin, erin.say("release.end_kept", version="0.2.0"))
            shoot(erin, "kept")
            fresh(erin, "0.2.0")
            erin.go(chat, "article.answer")
            asks(erin, 2)
            shoot(erin, "asked-after")

            # A broken one.
            brought(erin, publisher.bad, media, "0.3.0")
            ordered(erin, "release.act", "0.3.0")
            over(erin, erin.say("release.end_taken_back", version="0.3.0", before="0.2.0"))
            erin.see(erin.say("release.reason_check-sign-in"))
            shoot(erin, "taken-back-and-why")
            fresh(erin, "0.2.0")
            backed_up(erin, media / "BACKUP", shoot)
        assert box.stop() == 0

    # Another machine: it has the stick, and the sheet with the recovery key.
    elsewhere = tmp_path / "w"
    restored = typed(
        "--data-dir", str(elsewhere), "backup", "restore", str(media / "BACKUP"), "--recovery-key",
        input=f"{recovery_key}\n",
    )  # fmt: skip
    assert restored.returncode == 0, restored.stdout + restored.stderr
    second = RunningBox(elsewhere, box.port, "--development")
    second.start("--no-question")
    try:
        with Visitor(browser, second, language) as erin:
            erin.expects(401, 423)
            erin.go("/unlock?with=recovery_key")
            erin.page.fill("#recovery_key", recovery_key)
            shoot(erin, "restored-and-sealed")
            erin.button("page.unlock.submit").click()
            erin.see(erin.page.get_by_role("heading", level=1, name=erin.say("page.sign_in.title")))
            erin.sign_in("erin")
            erin.go(chat, "article.answer")
            asks(erin, 3)
            shoot(erin, "asked-on-the-restored-box")
            erin.go("/operate/update", "h3")
            erin.see(" ".join(publisher.fingerprint[at : at + 8] for at in range(0, 64, 8)))
            erin.see(erin.say("release.since_setup"))
            shoot(erin, "trusts-the-same-publisher")
    finally:
        second.stop()
