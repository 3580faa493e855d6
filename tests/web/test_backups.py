"""Backups over the API: who may, which folders a browser may name, and what an operator is shown."""

import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.storage import settings_store
from tests.simulators.box import PASSWORD, Person, TestBox, wait

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
def stick(box: TestBox) -> Iterator[Path]:
    """Where sticks appear. The box of these tests has no vault file; a real one's is as good as any."""
    from appliance.vault.keyring import Keyring
    from appliance.vault.passphrase import Cost

    if not box.settings.vault_file.exists():
        Keyring(box.settings.vault_file, Cost(memory_kib=64, passes=1)).create("correct horse battery")
    folder = box.settings.storage.media[0] / f"stick-{os.urandom(4).hex()}"
    folder.mkdir(parents=True)
    yield folder
    shutil.rmtree(folder)


def ended(person: Person) -> dict[str, Any]:
    job: dict[str, Any] = wait(
        lambda: person.get("/backups/work").get_json()["job"], lambda job: job["state"] not in ("waiting", "running")
    )
    return job


def test_mallory_can_do_nothing_with_backups(mallory: Person, bob: Person, stick: Path) -> None:
    for person in (mallory, bob):
        answers = [
            person.get("/backups"),
            person.post("/backups/look", json={"folder": str(stick)}),
            person.post("/backups/work", json={"folder": str(stick), "action": "create", "password": PASSWORD}),
            person.post("/backups/work", json={"folder": str(stick), "action": "rehearse"}),
            person.get("/backups/work"),
            person.delete("/backups/work"),
            person.get("/backups/targets"),
            person.put("/backups/schedule", json={"folder": str(stick), "hours": 1, "password": PASSWORD}),
        ]
        assert [answer.status_code for answer in answers] == [403] * len(answers)
        assert "backup" not in person.get("/state").get_json()
    assert list(stick.iterdir()) == []


def test_a_key_of_an_operator_can_not_either(alice: Person, box: TestBox, stick: Path) -> None:
    key = alice.post("/me/keys", json={"name": "script"}).get_json()["key"]
    client, headers = box.app.test_client(), {"Authorization": f"Bearer {key}"}
    body = {"folder": str(stick), "action": "create", "password": PASSWORD}
    assert client.post("/api/v1/backups/work", json=body, headers=headers).status_code == 403
    assert client.get("/api/v1/backups", headers=headers).status_code == 403


def test_making_one_asks_for_the_password_again(alice: Person, stick: Path, box: TestBox) -> None:
    body = {"folder": str(stick), "action": "create"}
    refused = alice.post("/backups/work", json=body | {"password": "not-my-password-at-all"})
    assert refused.status_code in (401, 403, 422)
    assert list(stick.iterdir()) == []
    begun = alice.post("/backups/work", json=body | {"password": PASSWORD})
    assert (begun.status_code, begun.get_json()["job"]["action"]) == (202, "create")
    assert ended(alice)["state"] == "done"
    (item,) = alice.post("/backups/look", json={"folder": str(stick)}).get_json()["items"]
    said = alice.get("/backups").get_json()
    assert said["last"]["create"]["snapshot"] == item["id"]
    assert said["last"]["create"]["error"] is None
    assert (said["state"], said["hours"]) == ("off", 0)
    assert item["counts"]["users"] >= 1
    assert {model["id"] for model in item["models"]} >= {"talker"}
    assert alice.get("/state").get_json()["backup"] == {"state": "off", "made_at": item["made_at"]}
    assert "backup-made" in [entry.action for entry in box.services.audit.entries()]


def test_at_the_terminal_nobody_is_asked(terminal: Terminal, alice: Person, stick: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for folder in (stick, elsewhere):
        assert terminal("POST", "/backups/work", {"folder": str(folder), "action": "create"}).status_code == 202
        assert ended(alice)["state"] == "done"
        for action in ("verify", "rehearse"):
            assert terminal("POST", "/backups/work", {"folder": str(folder), "action": action}).status_code == 202
            assert ended(alice)["state"] == "done", action
    last = terminal("GET", "/backups").get_json()["last"]
    assert last["rehearse"]["counts"]["users"] >= 1
    assert last["verify"]["snapshots"] == 1


def test_a_browser_names_no_other_folder(alice: Person, box: TestBox, stick: Path, tmp_path: Path) -> None:
    (stick / "link").symlink_to(tmp_path)
    (stick / "up").mkdir()
    media = box.settings.storage.media[0]
    for folder in (str(tmp_path), str(stick / "link"), str(media), str(box.settings.data_dir), "/"):
        for path, more in (("look", {}), ("work", {"action": "create", "password": PASSWORD})):
            answer = alice.post(f"/backups/{path}", json={"folder": folder, **more})
            assert answer.status_code == 403, folder
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("look", {"folder": "relative"}),
        ("look", {"folder": "/a/../b"}),
        ("look", {"folder": "/a\0b"}),
        ("look", {"folder": ""}),
        ("look", {}),
        ("work", {"folder": "/tmp", "action": "restore"}),
        ("work", {"folder": "/tmp", "action": "create", "keep": -1}),
        ("work", {"folder": "/tmp", "action": "create", "into": "/"}),
        ("schedule", {"hours": 1}),
        ("schedule", {"folder": "/tmp", "hours": 1, "at": "01:00"}),
        ("schedule", {"folder": "/tmp", "at": "24:00"}),
        ("schedule", {"folder": "relative", "hours": 1}),
        ("schedule", {"folder": "/tmp", "hours": -1}),
        ("schedule", {"folder": "/tmp", "hours": 1, "keep": -1}),
    ],
)
def test_nonsense_is_refused(terminal: Terminal, path: str, body: dict[str, Any]) -> None:
    answer = terminal("PUT" if path == "schedule" else "POST", f"/backups/{path}", body)
    assert (answer.status_code, answer.get_json()["code"]) == (400, "HK-BOX-003")


def test_an_empty_or_missing_folder_is_one_sentence(terminal: Terminal, stick: Path) -> None:
    assert terminal("POST", "/backups/look", {"folder": str(stick)}).get_json()["code"] == "HK-BAK-002"
    assert terminal("POST", "/backups/look", {"folder": str(stick / "no")}).get_json()["code"] == "HK-BAK-001"
    gone = terminal("POST", "/backups/work", {"folder": str(stick / "no"), "action": "create"})
    assert (gone.status_code, gone.get_json()["code"]) == (422, "HK-BAK-001")


def test_damage_is_told_with_its_code_and_no_path(terminal: Terminal, alice: Person, stick: Path) -> None:
    terminal("POST", "/backups/work", {"folder": str(stick), "action": "create"})
    assert ended(alice)["state"] == "done"
    (snapshot,) = stick.glob("hako-backup/*/snapshots/*")
    snapshot.write_bytes(b"nonsense")
    (item,) = terminal("POST", "/backups/look", {"folder": str(stick)}).get_json()["items"]
    assert item["error"]["code"] == "HK-BAK-003"
    terminal("POST", "/backups/work", {"folder": str(stick), "action": "verify"})
    job = ended(alice)
    assert (job["state"], job["error"]["code"]) == ("failed", "HK-BAK-003")
    assert str(stick) not in json.dumps(job["error"])
    assert terminal("GET", "/backups").get_json()["last"]["verify"]["error"]["code"] == "HK-BAK-003"
    assert terminal("DELETE", "/backups/work").status_code == 204


# -- the schedule, where they go, and what is known of each


@pytest.fixture
def unplanned(box: TestBox) -> Iterator[None]:
    """Leaves the box without a schedule, for whoever comes next."""
    yield
    settings_store.delete(box.services.database, "backup.schedule")


@pytest.mark.usefixtures("unplanned")
def test_a_schedule_is_set_with_the_password_and_recorded(alice: Person, box: TestBox, stick: Path) -> None:
    body = {"folder": str(stick), "at": "02:30", "keep": 7}
    refused = alice.put("/backups/schedule", json=body | {"password": "not-my-password-at-all"})
    assert refused.status_code == 401
    assert alice.get("/backups").get_json()["due_at"] is None
    said = alice.put("/backups/schedule", json=body | {"password": PASSWORD}).get_json()
    assert (said["folder"], said["at"], said["hours"], said["keep"], said["set_by"]) == (
        str(stick), "02:30", 0, 7, "alice",
    )  # fmt: skip
    assert said["due_at"] is not None
    assert alice.get("/backups").get_json() == said
    assert box.services.audit.entries()[0].action == "backup-planned"
    off = alice.put("/backups/schedule", json={"password": PASSWORD}).get_json()
    assert (off["state"], off["due_at"], off["set_by"]) == ("off", None, "alice")


@pytest.mark.usefixtures("unplanned", "stick")
def test_a_browser_plans_for_no_other_folder_but_one_that_the_terminal_planned(
    alice: Person, terminal: Terminal, tmp_path: Path
) -> None:
    body = {"folder": str(tmp_path), "hours": 24}
    assert alice.put("/backups/schedule", json=body | {"password": PASSWORD}).status_code == 403
    assert terminal("PUT", "/backups/schedule", body).status_code == 200
    assert alice.put("/backups/schedule", json=body | {"hours": 12, "password": PASSWORD}).status_code == 200
    targets = alice.get("/backups/targets").get_json()["items"]
    assert targets[0]["folder"] == str(tmp_path)
    gone = terminal("PUT", "/backups/schedule", {"folder": str(tmp_path / "none"), "hours": 1})
    assert (gone.status_code, gone.get_json()["code"]) == (422, "HK-BAK-001")


def test_targets_tell_the_room_and_each_backup_what_was_done_with_it(alice: Person, box: TestBox, stick: Path) -> None:
    said = alice.get("/backups/targets").get_json()
    assert said["media"] == [str(box.settings.storage.media[0])]
    found = {target["folder"]: target for target in said["items"]}[str(stick)]
    assert (found["name"], found["there"], found["writable"], found["own_disk"], found["has_backups"]) == (
        stick.name, True, True, True, False,
    )  # fmt: skip
    assert 0 < found["free_bytes"] <= found["total_bytes"]
    for action in ("create", "verify", "rehearse"):
        body = {"folder": str(stick), "action": action, "password": PASSWORD}
        assert alice.post("/backups/work", json=body).status_code == 202
        assert ended(alice)["state"] == "done"
    (item,) = alice.post("/backups/look", json={"folder": str(stick)}).get_json()["items"]
    assert item["verified_at"] is not None
    assert item["rehearsed_at"] is not None
    said = alice.get("/backups").get_json()
    assert said["newest"] == {
        "id": item["id"],
        "made_at": item["made_at"],
        "folder": str(stick),
        "verified_at": item["verified_at"],
        "rehearsed_at": item["rehearsed_at"],
    }
    rehearsed = said["last"]["rehearse"]
    assert rehearsed["made_at"] == item["made_at"]
    assert rehearsed["ended_at"] > item["made_at"]
    assert not {"ids", "made_id", "made_in", "known", "at"} & {name for last in said["last"].values() for name in last}
