"""The overview and the wall display by browser, on a real box: a finding comes, is put off, is mended, and is gone."""

import hmac
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, StorageState, expect

from appliance.config import Settings
from tests.e2e.browser import Visitor, add_person
from tests.simulators.receiver import receiver
from tests.simulators.served import PASSWORD, ServedBox
from webui.locales import Language

pytestmark = [pytest.mark.browser, pytest.mark.timeout(200)]

NONSENSE = "nothing that this box has signed\n"


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedBox]:
    with ServedBox(tmp_path_factory.mktemp("v")) as box:
        yield box


@pytest.fixture(scope="module")
def sessions() -> dict[Language, StorageState]:
    """Of the operator, who signed in once for each language."""
    return {}


@pytest.fixture
def erin(
    browser: Browser, box: ServedBox, language: Language, sessions: dict[Language, StorageState]
) -> Iterator[Visitor]:
    """An operator, signed in."""
    if language not in sessions:
        add_person(box, f"erin-{language}", "Erin", language)
        with Visitor(browser, box, language) as visitor:
            visitor.sign_in(f"erin-{language}")
            visitor.see(visitor.page.locator("#main"))
            sessions[language] = visitor.context.storage_state()
    with Visitor(browser, box, language, signed_in=sessions[language]) as visitor:
        yield visitor


@pytest.fixture
def checkpoints(box: ServedBox) -> Iterator[Path]:
    """What proves that the record of actions is whole; as it was, at the end."""
    path = Settings(data_dir=box.folder).audit_checkpoints
    yield path
    path.write_text(path.read_text("utf-8").replace(NONSENSE, ""), "utf-8")


def finding(erin: Visitor, title: str, **values: str | int) -> Locator:
    return erin.page.get_by_role("article", name=re.compile(re.escape(erin.say(title, **values))))


def tells(erin: Visitor, verdict: str) -> None:
    """The sentence of the page, whatever else is found on the machine that the tests run on."""
    expect(erin.page.locator("h1")).to_contain_text(erin.say(verdict, n=0).split("0")[0].strip())


def test_an_operator_sees_what_is_wrong_puts_it_off_and_mends_it(erin: Visitor, checkpoints: Path) -> None:
    page = erin.page
    erin.go("/chat", "textarea")
    erin.link("nav.operate").click()
    tile = page.locator(".tiles li", has_text=erin.say("health.backup.title"))
    erin.see(tile.get_by_text(erin.say("health.backup.value.never")))
    expect(page.locator(".chart canvas, .none")).to_have_count(4)
    erin.see(page.get_by_role("region", name=erin.say("status.now")).get_by_text(erin.say("status.memory")))

    never = finding(erin, "health.backup.never.title")
    expect(erin.link("status.go", never, page=erin.say("nav.backup"))).to_have_attribute("href", "/operate/backup")
    tells(erin, "status.verdict_warning")
    erin.button("status.snooze", never).click()
    expect(never).to_have_count(0)
    page.get_by_text(erin.say("status.put_off", n=1), exact=True).click()
    erin.see(never)
    erin.button("status.wake", never).click()
    erin.see(erin.button("status.snooze", never))
    erin.look()

    with checkpoints.open("a") as file:
        file.write(NONSENSE)
    erin.button("status.look").click()
    broken = finding(erin, "health.audit.not_whole.title", count=1)
    erin.see(broken)
    erin.see(broken.get_by_text("HK-HLT-031"))
    tells(erin, "status.verdict_error")
    page.goto("/docs")
    line = page.get_by_role("alert")
    erin.see(line.get_by_text(erin.say("status.banner_more")))
    erin.look()
    line.get_by_role("link").click()
    checkpoints.write_text(checkpoints.read_text("utf-8").replace(NONSENSE, ""), "utf-8")
    erin.button("health.fix.verify-audit", broken).click()
    erin.see(erin.say("status.begun"))
    expect(broken).to_have_count(0)
    tells(erin, "status.verdict_warning")
    page.goto("/docs")
    erin.see(page.locator("#main"))
    expect(line).to_have_count(0)


def test_alerts_are_set_up_tried_told_changed_and_removed(erin: Visitor, checkpoints: Path) -> None:
    """A receiver of the test's own on loopback; the box breaks, the receiver hears of it, and the card says so."""
    page = erin.page
    erin.go("/operate", ".tiles li")
    card = page.get_by_role("region", name=erin.say("status.alerts"), exact=True)
    erin.see(card.get_by_text(erin.say("status.alerts_off"), exact=True))
    with receiver() as ops:
        erin.button("status.alerts_set", card).click()
        erin.field("status.alerts_url", erin.dialog).fill("http://ops.internal/hook")
        erin.see(erin.field("status.alerts_address", erin.dialog))
        erin.field("status.alerts_url", erin.dialog).fill(ops.url)
        erin.field("ui.own_password", erin.dialog).fill(PASSWORD)
        erin.button("status.alerts_act", erin.dialog).click()
        erin.see(erin.dialog.get_by_text(erin.say("status.alerts_meant_missing")))
        erin.dialog.get_by_label(erin.say("status.alerts_inside_meant")).check()
        erin.field("ui.own_password", erin.dialog).fill("another one altogether")
        erin.expects(401)
        erin.button("status.alerts_act", erin.dialog).click()
        erin.see(erin.dialog.get_by_text("HK-AUTH-002"))
        erin.field("ui.own_password", erin.dialog).fill(PASSWORD)
        erin.button("status.alerts_act", erin.dialog).click()
        secret = erin.dialog.locator("code").inner_text()
        erin.look()
        erin.button("status.alerts_secret_kept", erin.dialog).click()
        erin.see(card.get_by_text(erin.say("status.alerts_unproven")))
        erin.button("status.alerts_try", card).click()
        erin.see(card.get_by_text(erin.say("status.alerts_on")))
        line, headers, body = ops.taken[0]
        assert line == "POST /ops/hook/ HTTP/1.1"
        at, digest = (part.partition("=")[2] for part in headers["x-hako-signature"].split(","))
        assert hmac.compare_digest(digest, hmac.new(secret.encode(), f"{at}.".encode() + body, "sha256").hexdigest())
        assert secret not in page.content()

        with checkpoints.open("a") as file:
            file.write(NONSENSE)
        erin.button("status.look").click()
        record = erin.say("health.audit.title")
        erin.see(card.get_by_text(f"{erin.say('status.alerts_new', check=record)} HK-HLT-031"))
        told = [each for message in ops.messages() for each in message["changes"]]
        assert ("new", "HK-HLT-031") in [(each["change"], each["code"]) for each in told]
        erin.look()
        checkpoints.write_text(checkpoints.read_text("utf-8").replace(NONSENSE, ""), "utf-8")
        broken = finding(erin, "health.audit.not_whole.title", count=1)
        erin.button("health.fix.verify-audit", broken).click()
        erin.see(card.get_by_text(f"{erin.say('status.alerts_gone', check=record)} HK-HLT-031"))
    erin.expects(502)
    erin.button("status.alerts_try", card).click()
    erin.see(card.get_by_text("HK-NET-004"))
    erin.see(card.get_by_text(erin.say("status.alerts_failing")))
    erin.button("status.alerts_change", card).click()
    erin.field("status.alerts_url", erin.dialog).fill("http://127.0.0.1:9/elsewhere")
    erin.dialog.get_by_label(erin.say("status.alerts_inside_meant")).check()
    erin.field("ui.own_password", erin.dialog).fill(PASSWORD)
    erin.button("status.alerts_change_act", erin.dialog).click()
    erin.see(card.get_by_text("http://127.0.0.1:9/elsewhere"))
    erin.see(card.get_by_text(erin.say("status.alerts_signed_yes")))
    erin.button("status.alerts_remove", card).click()
    erin.button("status.alerts_remove", erin.dialog).click()
    erin.see(card.get_by_text(erin.say("status.alerts_off"), exact=True))


def test_a_display_on_the_wall_shows_the_box_until_its_link_is_revoked(
    erin: Visitor, browser: Browser, box: ServedBox
) -> None:
    erin.go("/operate", ".tiles li")
    erin.button("status.wall").click()
    erin.button("status.wall_make").click()
    erin.see(erin.say("status.wall_name_missing"))
    erin.field("status.wall_name", erin.dialog).fill("Reception")
    erin.button("status.wall_make").click()
    address = erin.dialog.locator("code").inner_text()
    erin.look()
    with Visitor(browser, box, erin.language) as display:
        page = display.page
        display.expects(401)
        display.go("/wall")
        display.see(display.say("page.wall.closed"))
        page.goto("about:blank")
        page.clock.install()
        page.goto(address)
        page.wait_for_url(f"{box.url}/wall")
        expect(page.locator("[data-lamp]")).to_have_count(6)
        expect(page.locator('[data-lamp="backup"]')).to_have_attribute("data-state", "warning")
        display.see(page.locator("#gap").get_by_text(display.say("page.wall.gap.closed")))
        assert "Reception" not in page.content()
        assert display.context.request.get("/api/v1/health").status == 401
        display.look()

        display.expects_no_answer()
        display.context.set_offline(True)
        page.clock.run_for(75_000)
        display.see(page.get_by_role("heading", name=display.say("page.wall.verdict.lost")))
        expect(page.locator('[data-lamp][data-state="unknown"]')).to_have_count(6)
        display.context.set_offline(False)
        page.clock.run_for(12_000)
        display.see(page.locator('[data-lamp="backup"][data-state="warning"]'))

        erin.button("status.wall_revoke_it", erin.dialog, name="Reception").click()
        erin.see(erin.say("status.wall_none"))
        page.clock.run_for(12_000)
        display.see(display.say("page.wall.closed"))
        page.goto("about:blank")
        page.goto(address)
        display.see(display.say("page.wall.refused"))


def test_a_member_meets_no_overview(browser: Browser, box: ServedBox) -> None:
    add_person(box, "mallory", "Mallory", "en", "member")
    with Visitor(browser, box, "en") as mallory:
        mallory.sign_in("mallory")
        mallory.see(mallory.page.locator("#main"))
        mallory.go("/operate", ".empty")
        mallory.see(mallory.say("error.HK-AUTH-003"))
