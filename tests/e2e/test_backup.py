"""Backups by browser: made, verified, rehearsed, stopped, planned; and one's own data taken along."""

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Route, expect

from tests.e2e.axe import examine
from tests.e2e.browser import Visitor, add_person
from tests.simulators.served import PASSWORD, ServedBox
from webui.locales import Language

pytestmark = [pytest.mark.browser, pytest.mark.timeout(200)]


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the box looks for sticks."""
    return tmp_path_factory.mktemp("media")


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory, media: Path) -> Iterator[ServedBox]:
    with ServedBox(tmp_path_factory.mktemp("v"), extra=f'storage.media = ["{media}"]') as box:
        yield box


def came(browser: Browser, box: ServedBox, language: Language, name: str, role: str) -> Iterator[Visitor]:
    add_person(box, name, name.title(), language, role)
    with Visitor(browser, box, language) as visitor:
        visitor.sign_in(name)
        visitor.see(visitor.page.locator("#main"))
        yield visitor


@pytest.fixture
def erin(browser: Browser, box: ServedBox, language: Language) -> Iterator[Visitor]:
    yield from came(browser, box, language, f"erin-{language}", "operator")


@pytest.fixture
def ken(browser: Browser, box: ServedBox, language: Language) -> Iterator[Visitor]:
    yield from came(browser, box, language, f"ken-{language}", "member")


def place(erin: Visitor, name: str) -> Locator:
    """The choice of that place."""
    return erin.page.get_by_role("radio", name=re.compile(re.escape(name)))


def test_an_operator_makes_a_backup_sees_that_it_is_good_and_has_them_made_by_the_clock(
    erin: Visitor, box: ServedBox, media: Path
) -> None:
    page, stick = erin.page, media / f"STICK-{erin.language}"
    erin.expects(401)
    erin.go("/operate")
    erin.link("nav.backup").click()
    stick.mkdir()
    erin.see(str(media))
    erin.button("operate.bring_look").click()
    place(erin, stick.name).check()
    erin.see(erin.say("backup.list_none"))
    erin.see(erin.say("backup.target_own"))
    form = page.get_by_role("form", name=erin.say("backup.make"))
    erin.button("backup.make_act").click()
    erin.see(form.get_by_text(erin.say("ui.own_password_missing")))
    erin.field("update.password", within=form).fill("wrong-horse-battery-staple")
    erin.button("backup.make_act").click()
    erin.see(erin.say("me.wrong", n=4))
    erin.field("update.password", within=form).fill(PASSWORD)
    erin.button("backup.make_act").click()
    erin.see(erin.say("backup.done_create"))
    erin.see(erin.say("backup.is_ok", ago=erin.say("backup.ago_now")))
    expect(page.get_by_role("table").get_by_role("row")).to_have_count(2)

    erin.button("backup.verify").click()
    erin.see(erin.say("backup.done_verify"))
    erin.button("backup.rehearse").click()
    erin.see(erin.say("backup.done_rehearse"))
    row = page.get_by_role("table").get_by_role("row").last
    expect(row.get_by_text(erin.say("backup.not_yet"))).to_have_count(0)
    examine(erin)
    erin.look()

    with box.worker_held():
        erin.button("backup.verify").click()
        erin.see(erin.say("backup.doing_verify"))
        page.reload()  # the box goes on also while nobody looks
        erin.button("backup.stop").click()
        erin.button("backup.stop_act", within=erin.dialog).click()
        erin.see(erin.say("backup.cancelled"))

    erin.button("backup.schedule_set").click()
    erin.dialog.get_by_role("radio", name=erin.say("backup.when_daily")).check()
    erin.field("backup.time", within=erin.dialog).fill("03:30")
    erin.field("backup.keep", within=erin.dialog).fill("7")
    erin.dialog.get_by_role("combobox").select_option(str(stick))
    erin.field("update.password", within=erin.dialog).fill(PASSWORD)
    erin.button("backup.schedule_act").click()
    erin.see(erin.say("backup.schedule_done"))
    plan = page.get_by_role("region", name=erin.say("backup.schedule"))
    erin.see(plan.get_by_text(erin.say("backup.every_day", at="03:30")))
    erin.see(plan.get_by_text(erin.say("backup.keep_n", n=7)))
    with box.client() as client:
        said = client.get("/backups")
    assert (said["folder"], said["at"], said["keep"], said["set_by"]) == (
        str(stick), "03:30", 7, f"erin-{erin.language}",
    )  # fmt: skip
    erin.look()

    erin.button("backup.schedule_change").click()
    erin.dialog.get_by_role("radio", name=erin.say("backup.never")).check()
    erin.field("update.password", within=erin.dialog).fill(PASSWORD)
    erin.button("backup.schedule_act").click()
    erin.see(erin.say("backup.schedule_none"))

    for part in stick.glob("hako-backup/*/snapshots/*"):
        part.write_bytes(b"nonsense")
    page.reload()
    place(erin, stick.name).check()
    erin.see(page.get_by_role("table").get_by_text("HK-BAK-003"))
    erin.look()

    # What a person chooses stays, whatever was still on its way about the place before.
    other, held = media / f"OTHER-{erin.language}", list[Route]()
    other.mkdir()
    page.route("**/api/v1/backups/look", lambda route: held.append(route))  # noqa: PLW0108 - a built-in one is not taken
    erin.button("operate.bring_look").click()
    place(erin, other.name).check()
    page.wait_for_timeout(200)
    assert held
    for route in held:
        route.continue_()
    page.wait_for_timeout(500)
    expect(place(erin, other.name)).to_be_checked()


def test_somebody_takes_their_own_data_along(ken: Visitor) -> None:
    page = ken.page
    ken.expects(401)
    ken.go("/me")
    own = page.get_by_role("region", name=ken.say("mine.title"))
    ken.field("mine.field", within=own).fill("wrong-horse-battery-staple")
    ken.button("mine.get", within=own).click()
    ken.see(own.get_by_text(ken.say("me.wrong", n=4)))
    ken.field("mine.field", within=own).fill(PASSWORD)
    with page.expect_download() as download:
        ken.button("mine.get", within=own).click()
    assert re.fullmatch(rf"hako-ken-{ken.language}-\d{{4}}-\d\d-\d\d\.zip", download.value.suggested_filename)
    with zipfile.ZipFile(download.value.path()) as archive:
        assert json.loads(archive.read("account.json"))["display_name"] == f"Ken-{ken.language.title()}"
        assert archive.read("README.txt").decode() == ken.say("export.readme", name=f"ken-{ken.language}")
    ken.see(ken.say("mine.begun"))
    ken.look()
