"""Updates over the API: who may, what an operator is told, and that a release on trial is nobody's but the box's."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance import clock
from appliance.bundle.update.state import Phase, Places, Release
from appliance.bundle.update.updates import PROBE
from appliance.machine.gap import Gap as GapReading
from appliance.storage import migrations
from tests.simulators.box import PASSWORD, Person, TestBox, wait
from webui import locales
from webui.box import Box

RELEASE = Release("0.9.0-00000000", "0.9.0", 9, 0, len(migrations.STEPS), 5, "0" * 64)


@pytest.fixture
def places(box: TestBox) -> Iterator[Places]:
    """A release that is installed; the box is shared, so nothing of it stays."""
    places = box.services.bundles.updates.places
    with places.held() as held:
        held.change(phase=Phase.INSTALLED, target=RELEASE)
    folder = places.folder(RELEASE.name)
    folder.mkdir()
    (folder / "release.json").write_text("{}")
    yield places
    (folder / "release.json").unlink()
    folder.rmdir()
    (places.root / "update.json").unlink()
    (places.root / "base.json").unlink(missing_ok=True)
    box.box._trial = False


def on_trial(box: TestBox, places: Places) -> None:
    """As the web process of a release on trial is: it has begun as one."""
    with places.held() as held:
        held.change(phase=Phase.PROBING, boots_left=1)
    box.box._trial = Box(box.settings, box.keys, box._build)._trial  # type: ignore[arg-type]
    assert box.box.is_trial


def test_mallory_can_do_nothing_with_updates(mallory: Person, bob: Person, places: Places) -> None:
    for person in (mallory, bob):
        answers = [
            person.get("/update"),
            person.get("/update/checks"),
            person.get("/update/plan"),
            person.get("/update/plan?to=back"),
            person.post("/update/start", json={"digest": RELEASE.digest, "password": PASSWORD}),
            person.post("/update/rollback", json={"password": PASSWORD}),
        ]
        assert [answer.status_code for answer in answers] == [403] * len(answers)
    assert places.read().phase is Phase.INSTALLED


def test_an_operator_sees_what_runs_and_what_is_ready(alice: Person, box: TestBox, places: Places) -> None:
    assert places.is_whole(RELEASE.name)
    seen = alice.get("/update").get_json()
    assert (seen["running"]["counter"], seen["ready"]["version"], seen["back"]) == (1, "0.9.0", None)
    assert (seen["phase"], seen["reason"], seen["target"]["digest"]) == ("installed", "", RELEASE.digest)
    alice.post("/me/keys", json={"name": "recorded"})
    assert (seen["no_way_back"], seen["seen"], seen["lasted_s"], seen["left_s"]) == ("none", None, None, None)
    checks = alice.get("/update/checks").get_json()
    assert checks["audit_sound"]
    assert checks["audit_entries"] > 0
    remote = box.services.gateway.remote
    assert (checks["sent"], checks["destinations"]) == (remote.sent if remote else 0, 0)


def test_the_plan_tells_in_the_readers_language_what_is_in_the_way(
    alice: Person, box: TestBox, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = {"ja": "表の読み取りを改善しました。", "en": "Tables are read better."}
    places.note_about(RELEASE.name, {"title": {"en": "Hako 0.9"}, "notes": notes, "size": 1234, "issued": 1.0})
    chat = alice.post("/chats", json={}).get_json()["id"]
    plan = alice.get("/update/plan").get_json()
    alice.delete(f"/chats/{chat}")
    (places.folder(RELEASE.name) / "about.json").unlink()
    assert (plan["before"]["counter"], plan["after"]["digest"]) == (1, RELEASE.digest)
    assert (plan["title"], plan["notes"], plan["size_bytes"]) == ({"ja": "", "en": "Hako 0.9"}, notes, 1234)
    assert plan["issued"] == "1970-01-01T00:00:01.000Z"
    assert plan["schema_steps"] == RELEASE.schema - len(migrations.STEPS)
    assert 0 < plan["snapshot_bytes"] < plan["free_bytes"]
    assert plan["time"]["stop_s"] > 0
    assert not plan["time"]["measured"]
    assert plan["unlock"]  # no development: somebody has to enter the passphrase
    assert plan["now"]["people"] >= 1
    assert plan["backup"]["is_older"]
    assert plan["blockers"] == []

    monkeypatch.setattr(box.box.gap, "look", lambda: GapReading("open", 1, 0.0))
    for language, words in (("ja", "外部へのつながり"), ("en", "connection to the outside")):
        alice.patch("/me", json={"language": language})
        (blocker,) = alice.get("/update/plan").get_json()["blockers"]
        assert (blocker["code"], words in blocker["title"]) == ("HK-UPD-007", True)
    refused = alice.post("/update/start", json={"digest": RELEASE.digest, "password": PASSWORD})
    assert (refused.status_code, refused.get_json()["code"]) == (409, "HK-UPD-001")
    assert alice.get("/update/plan?to=back").get_json()["code"] == "HK-UPD-002"
    assert alice.get("/update/plan?to=elsewhere").status_code == 400


def test_an_answer_and_a_job_that_go_on_are_told(alice: Person, bob: Person, box: TestBox, places: Places) -> None:
    before = alice.get("/update/plan").get_json()["now"]
    chat = bob.post("/chats", json={}).get_json()["id"]
    asked = {"text": "[[words 100]] [[delay 50]] slowly"}
    run = bob.post(f"/chats/{chat}/messages", json=asked).get_json()["run_id"]
    job = box.services.queue.enqueue("nobody-does-this", {})
    now = alice.get("/update/plan").get_json()["now"]
    bob.post(f"/runs/{run}/stop")
    with box.services.database.write() as connection:
        connection.execute("delete from jobs where id = ?", (job,))
    assert now["answers"] > before["answers"]
    assert now["jobs"]["nobody-does-this"] == 1
    wait(lambda: alice.get("/update/plan").get_json()["now"]["answers"], lambda answers: answers == before["answers"])
    bob.delete(f"/chats/{chat}")


def test_changing_to_it_asks_for_the_password_again(alice: Person, places: Places) -> None:
    wrong = alice.post("/update/start", json={"digest": RELEASE.digest, "password": "no"})
    assert (wrong.status_code, places.read().phase) == (401, Phase.INSTALLED)
    other = alice.post("/update/start", json={"digest": "1" * 64, "password": PASSWORD})
    assert (other.status_code, other.get_json()["code"]) == (409, "HK-UPD-002")
    right = alice.post("/update/start", json={"digest": RELEASE.digest, "password": PASSWORD})
    assert (right.status_code, right.get_json()["phase"]) == (202, "wanted")
    again = alice.post("/update/start", json={"digest": RELEASE.digest, "password": PASSWORD})
    assert again.get_json()["code"] == "HK-UPD-005"


def test_on_trial_nothing_is_written_for_people_and_the_boxs_own_look_goes_through(
    alice: Person, bob: Person, box: TestBox, places: Places
) -> None:
    on_trial(box, places)
    for person in (alice, bob):
        refused = person.post("/chats", json={})
        assert (refused.status_code, refused.get_json()["code"]) == (503, "HK-UPD-005")
        assert refused.headers["Retry-After"]
    dialect = bob.post("//v1/chat/completions", json={"model": "talker", "messages": []})
    assert (dialect.status_code, dialect.get_json()["error"]["hako_code"]) == (503, "HK-UPD-005")
    assert alice.get("/update").get_json()["phase"] == "probing"
    probe = box.person(PROBE)
    assert probe.get("/bases").status_code == 200
    box.services.users.delete(probe.id)
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        overrides: dict[str, Any] = {"gunicorn.socket": ours}
        assert box.app.test_client().get("/api/v1/users", environ_overrides=overrides).status_code == 200
    back = alice.post("/update/rollback", json={"password": PASSWORD})
    assert (back.status_code, back.get_json()["phase"]) == (202, "rolling-back")


def test_on_trial_an_operator_sees_how_far_it_is_and_others_a_page_that_says_so(
    alice: Person, bob: Person, box: TestBox, places: Places
) -> None:
    on_trial(box, places)
    with places.held() as held:
        held.change(until=clock.now() + 300)
    places.note_seen({"number": 2, "passed": ["state", "sign-in"], "failed": "answer", "code": "500"})
    seen = alice.get("/update").get_json()
    (places.root / "checks.json").unlink()
    assert 290 < seen["left_s"] <= 300
    assert seen["seen"] == {"number": 2, "passed": ["state", "sign-in"], "failed": "answer", "code": "500"}
    assert alice.get("/update/plan").get_json()["code"] == "HK-UPD-005"
    assert bob.get("/state").get_json()["trial"]
    page = bob.get("//chat")
    assert (page.status_code, page.headers["Retry-After"]) == (503, "20")
    assert locales.t("page.error.trial", "en") in page.get_data(as_text=True)
    assert alice.get("//operate/update/release").status_code == 200
    assert alice.get("//chat").status_code == 200  # to get to the page of the update
    stranger = box.app.test_client().get("/sign-in", headers={"Accept-Language": "ja"})
    assert "試しています" in stranger.get_data(as_text=True)


def test_once_it_is_kept_everybody_is_let_in_again(bob: Person, box: TestBox, places: Places) -> None:
    on_trial(box, places)
    with places.held() as held:
        held.change(phase=Phase.COMMITTED, recorded=True)
    box.box._trial_until = 0.0
    assert bob.get("/chats").status_code == 200


def test_the_folder_of_releases_is_found_with_and_without_the_settings(tmp_path: Path) -> None:
    assert Places.of(tmp_path).root == tmp_path / "releases"
    (tmp_path / "hako.toml").write_text('releases_dir = "/srv/releases"\n[of_a_newer_release]\nmood = "good"\n')
    assert Places.of(tmp_path).root == Path("/srv/releases")
    (tmp_path / "hako.toml").write_text("not toml [")
    assert Places.of(tmp_path).root == tmp_path / "releases"
