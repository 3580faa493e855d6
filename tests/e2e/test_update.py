"""A bundle is taken from a stick by browser: whom to trust, what is on it, taking it; refused, pulled out, stopped."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from appliance import clock, config
from appliance.vault.client import KeysClient
from tests.e2e.axe import examine
from tests.e2e.browser import Visitor
from tests.simulators.publisher import DAY
from tests.simulators.served import PASSWORD, ServedBox
from tests.simulators.sticks import Sticks, packed

pytestmark = [pytest.mark.browser, pytest.mark.timeout(200)]

NOTES = {"ja": "短い日本語の説明です。", "en": "A short note in English."}
TITLE = {"ja": "小さい", "en": "Tiny"}  # as `Sticks` says it


@pytest.fixture
def stick(sticks: Sticks, media: Path, tmp_path: Path) -> Path:
    """A stick with two bundles: a model, and what this release can't take."""
    packed(tmp_path / "content", "brought", 3)
    sticks.add(tmp_path / "content", "pack", notes=NOTES)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "note.md").write_text("# Hako\n")
    sticks.add(tmp_path / "texts", "texts", role="content", kind="apps")
    return sticks.write(media / "HAKO-2026")


def trusted(box: ServedBox, sticks: Sticks) -> None:
    with box.client() as client:
        client.put("/bundles/trust", {"root": sticks.publisher.anchor.decode(), "fingerprint": sticks.fingerprint})


def opened(erin: Visitor, stick: Path) -> None:
    """To what is on the stick."""
    erin.go("/operate/update", "h3")
    erin.button("update.open_of", name=stick.name).click()
    erin.see(erin.page.get_by_role("form", name=erin.say("update.confirm")))


def take(erin: Visitor, password: str = PASSWORD) -> None:
    erin.field("update.password").fill(password)
    erin.button("update.act").click()


def test_a_publisher_is_trusted_and_a_bundle_is_taken(
    erin: Visitor, sticks: Sticks, stick: Path, media: Path, tmp_path: Path
) -> None:
    page = erin.page
    away = stick.rename(tmp_path / "pocket")
    erin.go("/operate")
    erin.link("nav.update").click()
    erin.see(erin.say("update.none"))
    erin.see("hako bundle look /media/usb")
    erin.see(str(media))
    examine(erin)

    erin.expects(401, 422)
    root = tmp_path / "1.root.json"
    root.write_bytes(sticks.publisher.anchor)
    wrong = tmp_path / "other.json"
    wrong.write_text("{}")
    erin.button("update.trust_set").click()
    chooser = erin.dialog.locator("input[type=file]")
    chooser.set_input_files(wrong)
    erin.see(erin.say("update.root_not", name=wrong.name))
    chooser.set_input_files(root)
    told = erin.field("update.told")
    grouped = " ".join(sticks.fingerprint[at : at + 8] for at in range(0, 64, 8))
    told.fill(grouped[:20])
    erin.see(erin.say("update.told_so_far", n=18))
    told.fill(grouped[:9] + ("0" if grouped[9] != "0" else "1"))
    erin.see(erin.say("update.told_differs", n=2))
    examine(erin)
    told.fill(grouped)
    erin.see(erin.say("update.told_match"))
    erin.field("update.password", within=erin.dialog).fill("wrong-horse-battery-staple")
    erin.button("update.trust_act").click()
    erin.see(erin.say("me.wrong", n=4))
    erin.field("update.password", within=erin.dialog).fill(PASSWORD)
    erin.button("update.trust_act").click()
    expect(erin.dialog).to_have_count(0)
    erin.see(erin.say("update.trusted"))
    erin.see(grouped)
    erin.look()

    away.rename(stick)
    erin.button("operate.bring_look").click()
    erin.button("update.open_of", name=stick.name).click()
    bundle = page.get_by_role("region", name=f"{TITLE[erin.language]} pack")
    erin.see(bundle.get_by_text(NOTES[erin.language]))
    erin.see(bundle.get_by_text("CC0-1.0"))
    erin.see(bundle.get_by_role("rowheader", name="Brought"))
    other = page.get_by_role("region", name=f"{TITLE[erin.language]} texts")
    erin.see(other.get_by_text("HK-BND-010"))  # for a later release
    erin.see(erin.say("update.check_signed"))
    erin.see(erin.say("update.check_room"))
    erin.see(erin.say("update.check_restart"))
    examine(erin)
    erin.button("update.act").click()
    erin.see(erin.say("ui.own_password_missing"))
    take(erin, "wrong-horse-battery-staple")
    erin.see(erin.say("me.wrong", n=4))
    take(erin)
    erin.see(erin.say("update.done", name="pack", version="1.0"))
    history = page.get_by_role("region", name=erin.say("update.history"))
    erin.see(history.get_by_role("row").filter(has_text="pack").filter(has_text="erin"))
    examine(erin)
    erin.link("update.see_models").click()
    erin.see(page.get_by_role("row").filter(has_text="Brought"))

    erin.go("/operate/update", "h3")
    with page.expect_download() as download:
        erin.link("update.request_get").click()
    assert '"brought"' in download.value.path().read_text("utf-8")
    erin.button("update.open_of", name=stick.name).click()
    erin.see(erin.say("update.nothing_new"))
    erin.see(erin.say("update.none_takeable"))
    erin.look()


def test_what_is_tampered_with_pulled_out_or_stopped_says_so_and_what_to_do(
    erin: Visitor, box: ServedBox, sticks: Sticks, stick: Path, tmp_path: Path
) -> None:
    trusted(box, sticks)
    erin.expects(422)
    opened(erin, stick)
    with box.worker_held():
        take(erin)
        erin.see(erin.page.get_by_role("list").get_by_text(erin.say("update.part_copying")))
        erin.see(erin.say("update.run_stay"))
        examine(erin)
        erin.page.reload()  # the box goes on also while nobody looks
        erin.button("update.stop").click()
        erin.button("update.stop_act", within=erin.dialog).click()
        erin.see(erin.say("update.cancelled"))
    erin.look()

    erin.button("operate.bring_look").click()
    erin.button("update.open_of", name=stick.name).click()
    with box.worker_held():
        take(erin)
        erin.see(erin.say("update.run_stay"))
        away = stick.rename(tmp_path / "pocket")
    erin.see(erin.say("update.failed", name="pack", version="1.0"))
    erin.see("HK-BND-001")
    erin.look()
    away.rename(stick)

    erin.button("operate.bring_look").click()
    erin.button("update.open_of", name=stick.name).click()
    for part in stick.glob("parts/*/*"):
        content = bytearray(part.read_bytes())
        if content.startswith(b"GGUF"):
            content[-1] ^= 1
            part.write_bytes(content)
    take(erin)
    erin.see(erin.say("update.failed", name="pack", version="1.0"))
    erin.see("HK-BND-005")
    erin.see(erin.say("update.failed_kept"))
    examine(erin)
    erin.button("update.give_up").click()
    erin.see(erin.say("update.gave_up"))
    erin.see(erin.button("update.open_of", name=stick.name))
    assert not erin.page.get_by_text("HK-BND-005").is_visible()

    for index in stick.glob("targets/models/*/*/*"):
        index.write_bytes(index.read_bytes().replace(b"CC0", b"XXX"))
    erin.button("update.open_of", name=stick.name).click()
    erin.see("HK-BND-005")
    erin.look()
    erin.go("/operate/models", "table")
    assert erin.page.get_by_text("Brought").count() == 0


def test_signatures_past_their_date_are_accepted_with_the_recovery_key_and_a_clock_that_is_behind_is_told(
    erin: Visitor, box: ServedBox, sticks: Sticks, media: Path, tmp_path: Path
) -> None:
    trusted(box, sticks)
    erin.expects(409, 422)
    key = KeysClient(config.load(data_dir=box.folder).keys_socket).new_recovery()
    sticks.publisher.now = clock.now() - 3 * DAY
    packed(tmp_path / "content", "brought", 3)
    sticks.add(tmp_path / "content", "pack", notes=NOTES)
    stick = sticks.write(media / "HAKO-2026", days=1)
    erin.go("/operate/update", "h3")
    erin.button("update.open_of", name=stick.name).click()
    erin.see("HK-BND-004")
    erin.look()
    erin.button("update.stale_open").click()
    erin.button("update.stale_act").click()
    erin.see(erin.say("update.stale_reason_missing"))
    erin.see(erin.say("update.stale_key_missing"))
    erin.field("update.stale_reason").fill("The ferry is late.")
    mistyped = key[:-1] + ("A" if key[-1] != "A" else "B")
    erin.field("update.stale_key").fill(mistyped)
    erin.button("update.stale_act").click()
    erin.see("HK-VLT-006")
    expect(erin.field("update.stale_key")).to_have_value(mistyped)
    examine(erin)
    erin.look()
    erin.field("update.stale_key").fill(key)
    erin.button("update.stale_act").click()
    erin.see(erin.say("update.check_stale"))
    examine(erin)
    take(erin)
    erin.see(erin.say("update.done", name="pack", version="1.0"))
    sticks.publisher.now = clock.now() + 40 * DAY
    sticks.write(stick)
    for _look in ("learned", "told"):
        erin.go("/operate/update", "h3")
        erin.button("update.open_of", name=stick.name).click()
        erin.see(erin.say("update.check_signed"))
    erin.see(erin.say("update.check_clock"))
    erin.see(erin.say("update.check_clock_note"))
    erin.look()
