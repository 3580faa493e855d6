"""Documents come from a stick as a base for reading only, and a base leaves for another box, both by browser."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from appliance.bundle.boxes.identity import Identity
from tests.e2e.axe import examine
from tests.e2e.browser import Visitor
from tests.simulators.served import PASSWORD, ServedBox
from tests.simulators.sticks import Sticks

pytestmark = [pytest.mark.browser, pytest.mark.timeout(200)]

TEXT = "# Boiler\n\nThe boiler is bled on the first Monday of a month.\n"


@pytest.fixture
def stick(sticks: Sticks, media: Path, tmp_path: Path) -> Path:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "boiler.md").write_text(TEXT)
    sticks.add(tmp_path / "texts", "manuals", role="content", kind="knowledge")
    return sticks.write(media / "HAKO-2026")


def test_documents_come_as_a_base_and_go_to_another_box(
    erin: Visitor, box: ServedBox, sticks: Sticks, stick: Path
) -> None:
    page = erin.page
    with box.client() as client:
        client.put("/bundles/trust", {"root": sticks.publisher.anchor.decode(), "fingerprint": sticks.fingerprint})
    erin.go("/operate/update", "h3")
    erin.button("update.open_of", name=stick.name).click()
    erin.see(erin.say("update.doc_new"))
    erin.see(erin.say("update.doc_keep"))
    examine(erin)
    page.get_by_role("radio", name=erin.say("update.reads_everyone")).check()
    erin.field("update.password").fill(PASSWORD)
    erin.button("update.act").click()
    erin.see(erin.say("update.done", name="manuals", version="1.0"))
    erin.see(erin.say("update.done_documents"))
    packs = page.get_by_role("region", name=erin.say("update.packs"))
    erin.see(packs.get_by_text(erin.say("update.pack_ready")))
    erin.see(packs.get_by_text(erin.say("update.pack_by_publisher")))
    erin.look()
    packs.get_by_role("link").click()
    erin.see(page.get_by_text("boiler.md").first)
    assert page.get_by_role("button", name=erin.say("docs.add")).count() == 0  # for reading only

    other = Identity(bytes(range(32)))
    erin.go("/operate/update", "h3")
    boxes = page.get_by_role("region", name=erin.say("update.boxes"))
    erin.see(boxes.get_by_text(erin.say("update.own_code")))
    erin.expects(400)
    erin.button("update.give").click()
    code = erin.field("update.give_code")
    code.fill("0" * 72)
    erin.button("update.give_next").click()
    erin.see(erin.say("update.give_code_wrong"))
    code.fill(other.code)
    erin.button("update.give_next").click()
    erin.see(erin.say("update.give_warn"))
    examine(erin)
    erin.field("update.password", within=erin.dialog).fill(PASSWORD)
    with page.expect_download() as download:
        erin.button("update.give_act").click()
    expect(erin.dialog).to_have_count(0)
    assert download.value.suggested_filename.endswith(".hakopack")
    assert b"boiler" not in download.value.path().read_bytes().lower()
