"""`/audit`: operators read, verify and export the log; nobody else does, and nothing of what people wrote is in it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.storage import audit_export
from appliance.storage.audit import Audit
from tests.simulators.box import PASSWORD, Person, TestBox

ROUTES = [
    ("GET", "/audit", None),
    ("GET", "/audit/verify", None),
    ("POST", "/audit/verify", {}),
    ("GET", "/audit/key", None),
    ("GET", "/audit/export", None),
    ("POST", "/audit/accept", {"findings": ["lost:1-1"], "password": PASSWORD}),
]


@pytest.fixture
def broken(box: TestBox) -> Iterator[Audit]:
    """An entry that somebody with the database's key has changed, and changes back."""
    with box.services.database.write() as connection:
        trigger = connection.execute("select sql from sqlite_schema where name = 'audit_no_update'").get
        connection.execute("drop trigger audit_no_update")
        actor = connection.execute("select actor from audit where number = 1").get
        connection.execute("update audit set actor = 'x' where number = 1")
    yield box.services.audit
    with box.services.database.write() as connection:
        connection.execute("update audit set actor = ? where number = 1", (actor,))
        connection.execute(trigger)
    box.services.audit.verify()


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
def test_mallory_gets_nothing_of_the_log(
    mallory: Person, box: TestBox, method: str, path: str, body: dict[str, object] | None
) -> None:
    before = box.services.audit.entries(1)[0].number
    answer = mallory.open(path, method=method, json=body)
    assert (answer.status_code, answer.get_json()["code"]) == (403, "HK-AUTH-003")
    assert box.app.test_client().open("/api/v1" + path, method=method, json=body).status_code == 401
    assert [entry for entry in box.services.audit.entries(5) if entry.number > before] == []


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
def test_an_operators_key_gets_nothing_either(
    alice: Person, box: TestBox, method: str, path: str, body: dict[str, object] | None
) -> None:
    made = alice.post("/me/keys", json={"name": "robot"}).get_json()
    client = box.app.test_client()
    answer = client.open("/api/v1" + path, method=method, json=body, headers={"X-Api-Key": made["key"]})
    assert answer.status_code == 403
    alice.delete(f"/me/keys/{made['item']['id']}")


def test_members_are_not_told_how_the_log_is(alice: Person, bob: Person, broken: Audit) -> None:
    broken.verify()
    assert alice.get("/state").get_json()["audit"] == "broken"
    assert "audit" not in bob.get("/state").get_json()


def test_the_log_says_who_did_what_newest_first(alice: Person, box: TestBox) -> None:
    for name in ("one", "two", "three"):
        box.services.audit.record(alice.id, "audit-test-three", name, size=3)
    listed = alice.get("/audit?limit=2&action=audit-test-three").get_json()["items"]
    assert [(item["target"], item["actor_name"], item["detail"]) for item in listed] == [
        ("three", "alice", {"size": 3}),
        ("two", "alice", {"size": 3}),
    ]
    rest = alice.get(f"/audit?before={listed[-1]['number']}&actor=alice&action=audit-test-three").get_json()["items"]
    assert [item["target"] for item in rest] == ["one"]
    assert alice.get("/audit?actor=nobody").get_json() == {"items": []}


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "before=x", "order=asc", "action=" + "x" * 201])
def test_nonsense_is_refused(alice: Person, query: str) -> None:
    assert alice.get(f"/audit?{query}").status_code == 400


def test_the_start_is_in_the_log_and_its_look_is_shown(alice: Person, box: TestBox) -> None:
    assert box.services.audit.entries(action="box-opened")
    told = alice.get("/audit/verify").get_json()
    assert (told["sound"], told["findings"]) == (True, [])
    assert alice.get("/state").get_json()["audit"] == "sound"


def test_a_whole_look_counts_every_entry(alice: Person, box: TestBox) -> None:
    told = alice.post("/audit/verify", json={}).get_json()
    assert (told["sound"], told["whole"]) == (True, True)
    assert told["entries"] == box.services.audit.entries(1)[0].number
    assert told["newest"]["number"] <= told["entries"]


def test_findings_are_sentences_in_the_readers_language(alice: Person, broken: Audit) -> None:
    told = alice.post("/audit/verify", json={}, headers={"Accept-Language": "ja"}).get_json()
    assert not told["sound"]
    first = next(found for found in told["findings"] if found["kind"] == "entry")
    assert (first["key"], first["accepted"]) == ("entry:1-1", False)
    assert first["title"]
    assert "{" not in first["title"]


def test_taking_note_asks_for_the_password_and_for_what_was_shown(alice: Person, broken: Audit) -> None:
    keys = [found["key"] for found in alice.post("/audit/verify", json={}).get_json()["findings"]]
    wrong = alice.post("/audit/accept", json={"findings": keys, "password": "wrong"})
    assert (wrong.status_code, wrong.get_json()["code"]) == (401, "HK-AUTH-002")
    other = alice.post("/audit/accept", json={"findings": ["entry:9-9"], "password": PASSWORD})
    assert (other.status_code, other.get_json()["code"]) == (409, "HK-BOX-009")
    assert not broken.verify().is_sound


def test_an_export_proves_itself_with_the_key_that_is_shown(alice: Person, box: TestBox, tmp_path: Path) -> None:
    for number in range(450):  # more than goes out in one piece
        box.services.audit.record("alice", "audit-test", f"t{number}")
    answer = alice.get("/audit/export")
    assert answer.headers["Content-Disposition"].startswith("attachment")
    path = tmp_path / "log.jsonl"
    path.write_bytes(answer.data)
    key = alice.get("/audit/key").get_json()
    told = audit_export.verify(path, bytes.fromhex(key["public_key"]))
    assert told.report.is_sound
    assert told.report.newest
    assert told.report.newest.statement.name == key["newest"]["name"]
    assert told.report.entries == box.services.audit.entries(1)[0].number
    assert box.services.audit.entries(1)[0].action == "audit-exported"


def test_neither_questions_nor_names_of_documents_nor_secrets_are_in_the_log(
    alice: Person, bob: Person, handbook: dict[str, str]
) -> None:
    bob.post("/ask", json={"question": "夜勤手当のひみつの質問", "base_ids": [handbook["base"]]})
    made = bob.post("/me/keys", json={"name": "secret name"}).get_json()
    content = alice.get("/audit/export").get_data(as_text=True)
    for secret in ("ひみつ", "夜勤手当", "handbook.md", made["key"], PASSWORD, "secret name"):
        assert secret not in content
    assert any(json.loads(line).get("entry", {}).get("action") == "asked" for line in content.splitlines())
    bob.delete(f"/me/keys/{made['item']['id']}")
