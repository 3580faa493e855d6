"""Bundles over the API: who may, what a browser may not, and what somebody at the box's terminal is told."""

import json
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from appliance import clock
from appliance.bundle.publish import cutting
from tests.simulators.box import PASSWORD, Keys, Person, TestBox, wait
from tests.simulators.sticks import Sticks, packed

Terminal = Callable[..., Any]


@pytest.fixture
def terminal(box: TestBox) -> Iterator[Terminal]:
    """The operator on the admin socket."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)

    def send(method: str, path: str, body: object = None) -> Any:
        return box.app.test_client().open(
            f"/api/v1{path}", method=method, json=body, buffered=True, environ_overrides={"gunicorn.socket": ours}
        )

    yield send
    ours.close()
    theirs.close()


@pytest.fixture
def sticks(tmp_path: Path, box: TestBox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sticks]:
    monkeypatch.setattr(cutting, "PART_BYTES", 30_000)
    yield Sticks(tmp_path / "publisher", clock.now())
    with box.services.database.write() as connection:  # the box is shared with other tests
        connection.execute("delete from anchors")


@pytest.fixture
def plugged(sticks: Sticks, tmp_path: Path, box: TestBox) -> Iterator[Path]:
    """A stick with a bundle, where the system mounts them."""
    packed(tmp_path / "content", "plugged", 5)
    sticks.add(tmp_path / "content", "pack")
    folder = box.settings.storage.media[0] / "alice"
    yield sticks.write(folder / "STICK")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def stick(sticks: Sticks, tmp_path: Path) -> Path:
    packed(tmp_path / "content", "brought", 3)
    sticks.add(tmp_path / "content", "pack", notes={"ja": "メモ", "en": "Notes"})
    return sticks.write(tmp_path / "stick")


def root(sticks: Sticks, **more: Any) -> dict[str, Any]:
    return {"root": sticks.publisher.anchor.decode(), **more}


def accepted(key: str = Keys.RECOVERY, reason: str = "the ferry is late") -> dict[str, Any]:
    """What accepts a stick past its date."""
    return {"recovery_key": key, "reason": reason}


def test_mallory_can_do_nothing_with_bundles(
    mallory: Person, bob: Person, sticks: Sticks, stick: Path, plugged: Path, box: TestBox
) -> None:
    (medium,) = box.services.bundles.media.found()
    assert medium.path == str(plugged)
    (digest,) = (path.name.split(".")[0] for path in stick.glob("targets/*/*/*/*"))
    for person in (mallory, bob):
        answers = [
            person.get("/bundles"),
            person.get("/bundles/trust"),
            person.put("/bundles/trust", json=root(sticks, fingerprint=sticks.fingerprint, password=PASSWORD)),
            person.put("/bundles/trust", json=root(sticks, dry_run=True)),
            person.get("/bundles/media"),
            person.post("/bundles/look", json={"folder": str(stick)}),
            person.post("/bundles/look", json={"media": medium.id}),
            person.post("/bundles/stale", json={"folder": str(stick), **accepted()}),
            person.post("/bundles/stale", json={"media": medium.id, **accepted()}),
            person.post("/bundles/taking", json={"folder": str(stick), "digest": digest}),
            person.post("/bundles/taking", json={"media": medium.id, "digest": digest, "password": PASSWORD}),
            person.get("/bundles/taking"),
            person.delete("/bundles/taking"),
            person.get("/bundles/request"),
        ]
        assert [answer.status_code for answer in answers] == [403] * len(answers)
    assert box.services.bundles.anchors.current() is None


def test_a_key_of_an_operator_can_not_either(alice: Person, box: TestBox) -> None:
    key = alice.post("/me/keys", json={"name": "script"}).get_json()["key"]
    headers = {"Authorization": f"Bearer {key}"}
    client = box.app.test_client()
    assert client.get("/api/v1/bundles", headers=headers).status_code == 403
    assert client.delete("/api/v1/bundles/taking", headers=headers).status_code == 403
    assert client.get("/api/v1/bundles/media", headers=headers).status_code == 403
    answer = client.post("/api/v1/bundles/look", headers=headers, json={"media": "0" * 32})
    assert answer.status_code == 403


def test_a_browser_sets_whom_to_trust_with_the_password_once_more(alice: Person, sticks: Sticks, box: TestBox) -> None:
    shown = alice.put("/bundles/trust", json=root(sticks, dry_run=True)).get_json()["publisher"]
    assert (shown["fingerprint"], shown["roles"]["root"]) == (sticks.fingerprint, {"keys": 3, "threshold": 2})
    assert alice.get("/bundles/trust").get_json() == {"publisher": None}
    for password in ("", "wrong-horse-battery-staple"):
        refused = alice.put("/bundles/trust", json=root(sticks, fingerprint=sticks.fingerprint, password=password))
        assert (refused.status_code, refused.get_json()["code"]) == (401, "HK-AUTH-002")
    wrong = alice.put("/bundles/trust", json=root(sticks, fingerprint="0" * 64, password=PASSWORD))
    assert wrong.get_json()["code"] == "HK-BND-012"
    assert box.services.bundles.anchors.current() is None
    done = alice.put("/bundles/trust", json=root(sticks, fingerprint=sticks.fingerprint, password=PASSWORD))
    assert (done.status_code, done.get_json()["publisher"]["set_by"]) == (200, "alice")
    assert alice.get("/bundles/trust").get_json()["publisher"]["fingerprint"] == sticks.fingerprint
    assert "publisher-trusted" in [entry.action for entry in box.services.audit.entries()]


def test_replacing_a_publisher_over_the_api_takes_the_old_fingerprint(
    alice: Person, sticks: Sticks, tmp_path: Path
) -> None:
    said = {"fingerprint": sticks.fingerprint, "password": PASSWORD}
    assert alice.put("/bundles/trust", json=root(sticks, **said)).status_code == 200
    other = Sticks(tmp_path / "other", clock.now())
    said = {"fingerprint": other.fingerprint, "password": PASSWORD}
    refused = alice.put("/bundles/trust", json=root(other, **said))
    assert (refused.status_code, refused.get_json()["code"]) == (409, "HK-BND-012")
    assert alice.put("/bundles/trust", json=root(other, **said, replaces=sticks.fingerprint)).status_code == 200


def test_a_folder_is_for_who_works_on_the_box_itself(alice: Person, stick: Path) -> None:
    for path, body in (("look", {}), ("taking", {"digest": "0" * 64}), ("stale", accepted())):
        answer = alice.post(f"/bundles/{path}", json={"folder": str(stick), **body})
        assert answer.status_code == 403


def test_a_stick_past_its_date_takes_the_recovery_key_and_a_reason(
    alice: Person, sticks: Sticks, plugged: Path, box: TestBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.services.bundles.trust(sticks.publisher.anchor, sticks.fingerprint, "alice")
    moment = clock.now() + 400 * 24 * 3600  # signatures here hold for a year
    monkeypatch.setattr("appliance.bundle.remembered.clock", SimpleNamespace(now=lambda: moment))
    (medium,) = alice.get("/bundles/media").get_json()["items"]
    place = {"media": medium["id"]}
    refused = alice.post("/bundles/look", json=place)
    assert (refused.status_code, refused.get_json()["code"]) == (409, "HK-BND-004")
    wrong = alice.post("/bundles/stale", json={**place, **accepted("AAAAA-BBBBB-CCCCC-DDDDD-EEEEE-AAAAA")})
    assert wrong.get_json()["code"] == "HK-VLT-002"
    for body in (accepted(reason="  "), accepted(reason="x" * 501), {"reason": "none"}, {"recovery_key": "none"}):
        assert alice.post("/bundles/stale", json={**place, **body}).status_code == 400
    assert alice.post("/bundles/look", json=place).status_code == 409
    assert "bundle-stale-accepted" not in [entry.action for entry in box.services.audit.entries()]
    seen = alice.post("/bundles/stale", json={**place, **accepted()})
    assert (seen.status_code, seen.get_json()["stale"]) == (200, True)
    assert alice.post("/bundles/look", json=place).get_json()["stale"] is True
    (entry,) = (entry for entry in box.services.audit.entries() if entry.action == "bundle-stale-accepted")
    assert (entry.actor, entry.detail["reason"]) == ("alice", "the ferry is late")


def test_a_browser_takes_from_a_stick_with_the_password_once_more(
    alice: Person, sticks: Sticks, plugged: Path, box: TestBox
) -> None:
    box.services.bundles.trust(sticks.publisher.anchor, sticks.fingerprint, "alice")
    listed = alice.get("/bundles/media").get_json()
    (medium,) = listed["items"]
    assert (medium["name"], medium["folder"]) == ("STICK", str(plugged))
    assert listed["folders"] == [str(box.settings.storage.media[0])]
    seen = alice.post("/bundles/look", json={"media": medium["id"]})
    (item,) = seen.get_json()["items"]
    assert (item["name"], item["plan"]["refusals"]) == ("pack", [])
    wish = {"media": medium["id"], "digest": item["digest"]}
    for password in ({}, {"password": ""}, {"password": "wrong-horse-battery-staple"}):
        refused = alice.post("/bundles/taking", json={**wish, **password})
        assert (refused.status_code, refused.get_json()["code"]) == (401, "HK-AUTH-002")
    before = alice.get("/bundles/taking").get_json()["job"]
    assert before is None or before["digest"] != item["digest"]
    begun = alice.post("/bundles/taking", json={**wish, "password": PASSWORD})
    assert (begun.status_code, begun.get_json()["job"]["digest"]) == (202, item["digest"])
    ended = wait(
        lambda: alice.get("/bundles/taking").get_json()["job"], lambda job: job["state"] not in ("waiting", "running")
    )
    assert (ended["state"], ended["error"], ended["kept"]) == ("done", None, False)
    assert "plugged" in [model["id"] for model in alice.get("/models").get_json()["items"]]
    (taken, *_) = alice.get("/bundles").get_json()["items"]
    assert (taken["digest"], taken["taken_by"]) == (item["digest"], "alice")
    box.drop_model("plugged")


def test_a_stick_that_is_gone_says_to_plug_it_in_again(
    alice: Person, sticks: Sticks, plugged: Path, box: TestBox
) -> None:
    box.services.bundles.trust(sticks.publisher.anchor, sticks.fingerprint, "alice")
    (medium,) = alice.get("/bundles/media").get_json()["items"]
    shutil.rmtree(plugged)
    assert alice.get("/bundles/media").get_json()["items"] == []
    for path, body in (("look", {}), ("taking", {"digest": "0" * 64, "password": PASSWORD})):
        answer = alice.post(f"/bundles/{path}", json={"media": medium["id"], **body})
        assert (answer.status_code, answer.get_json()["code"]) == (422, "HK-BND-001")


def test_at_the_terminal_a_bundle_is_looked_at_and_taken(
    terminal: Terminal, alice: Person, sticks: Sticks, stick: Path, box: TestBox
) -> None:
    assert terminal("POST", "/bundles/look", {"folder": str(stick)}).get_json()["code"] == "HK-BND-011"
    said = root(sticks, fingerprint=sticks.fingerprint)
    assert terminal("PUT", "/bundles/trust", said).status_code == 200
    seen = terminal("POST", "/bundles/look", {"folder": str(stick)}).get_json()
    (item,) = seen["items"]
    assert (seen["publisher"], item["licence"], item["notes"]) == (
        sticks.fingerprint, "CC0-1.0", {"ja": "メモ", "en": "Notes"},
    )  # fmt: skip
    plan = item["plan"]
    assert [(model["id"], model["state"]) for model in plan["models"]] == [("brought", "new")]
    assert (plan["to_copy_bytes"], plan["refusals"], plan["restarts"]) == (item["size_bytes"], [], [])
    begun = terminal("POST", "/bundles/taking", {"folder": str(stick), "digest": item["digest"]})
    assert (begun.status_code, begun.get_json()["job"]["name"]) == (202, "pack")
    ended = wait(
        lambda: alice.get("/bundles/taking").get_json()["job"], lambda job: job["state"] not in ("waiting", "running")
    )
    assert (ended["state"], ended["error"]) == ("done", None)
    assert "brought" in [model["id"] for model in alice.get("/models").get_json()["items"]]
    (taken, *_) = alice.get("/bundles").get_json()["items"]
    assert (taken["digest"], taken["taken_by"]) == (item["digest"], "operator")
    asked = alice.get("/bundles/request").get_json()
    assert "brought" in [model["id"] for model in asked["models"]]
    assert asked["publisher"] == sticks.fingerprint
    box.drop_model("brought")


def test_what_ended_badly_says_why_and_can_be_given_up(
    terminal: Terminal, alice: Person, sticks: Sticks, stick: Path
) -> None:
    terminal("PUT", "/bundles/trust", root(sticks, fingerprint=sticks.fingerprint))
    (item,) = terminal("POST", "/bundles/look", {"folder": str(stick)}).get_json()["items"]
    for part in stick.glob("parts/*/*"):
        content = bytearray(part.read_bytes())
        if not content.startswith(b"{"):  # the manifest is read with each look already
            content[0] ^= 1
            part.write_bytes(content)
    assert terminal("POST", "/bundles/taking", {"folder": str(stick), "digest": item["digest"]}).status_code == 202
    ended = wait(
        lambda: alice.get("/bundles/taking").get_json()["job"], lambda job: job["state"] not in ("waiting", "running")
    )
    assert (ended["state"], ended["error"]["code"]) == ("failed", "HK-BND-005")
    assert ended["kept"]
    assert json.dumps(str(stick)) not in json.dumps(ended)
    assert alice.delete("/bundles/taking").status_code == 204
    assert not alice.get("/bundles/taking").get_json()["job"]["kept"]
    assert "brought" not in [model["id"] for model in alice.get("/models").get_json()["items"]]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/bundles/trust", {"root": "{}"}),
        ("PUT", "/bundles/trust", {"root": "\ud800", "dry_run": True}),
        ("PUT", "/bundles/trust", {}),
        ("POST", "/bundles/look", {"folder": "relative"}),
        ("POST", "/bundles/look", {"folder": "/a/../b"}),
        ("POST", "/bundles/look", {}),
        ("POST", "/bundles/look", {"folder": "/tmp", "media": "0" * 32}),
        ("POST", "/bundles/look", {"media": "/etc"}),
        ("POST", "/bundles/look", {"media": "0" * 33}),
        ("POST", "/bundles/look", {"media": "0" * 32}),
        ("POST", "/bundles/taking", {"folder": "/tmp", "digest": "no"}),
        ("POST", "/bundles/taking", {"digest": "0" * 64}),
    ],
)
def test_nonsense_is_refused(terminal: Terminal, method: str, path: str, body: dict[str, Any]) -> None:
    assert 400 <= terminal(method, path, body).status_code < 500
