"""`/audit`: operators read, verify and export the log; nobody else does, and nothing of what people wrote is in it."""

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance import clock
from appliance.storage import audit_check, audit_export
from appliance.storage.audit import Audit
from appliance.storage.audit_check import Report
from tests.simulators.box import PASSWORD, Person, TestBox, add
from webui.api import audit as audit_api

EVENT = re.compile(r"event: (\w+)\ndata: (.*)\n")

ROUTES = [
    ("GET", "/audit", None),
    ("GET", "/audit/verify", None),
    ("POST", "/audit/verify", {}),
    ("GET", "/audit/key", None),
    ("GET", "/audit/export", None),
    ("POST", "/audit/accept", {"findings": ["lost:1-1"], "reason": "known", "password": PASSWORD}),
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
    assert [(item["target"], item["actor_name"], item["detail"]["size"]) for item in listed] == [
        ("three", "alice", 3),
        ("two", "alice", 3),
    ]
    rest = alice.get(f"/audit?before={listed[-1]['number']}&actor=alice&action=audit-test-three").get_json()["items"]
    assert [item["target"] for item in rest] == ["one"]
    assert alice.get("/audit?actor=nobody").get_json()["items"] == []


def test_pages_stay_as_they_are_while_new_entries_come(alice: Person, box: TestBox) -> None:
    for number in range(6):
        box.services.audit.record(alice.id, "audit-test-pages", str(number))
    first = alice.get("/audit?limit=3&action=audit-test-pages").get_json()
    box.services.audit.record(alice.id, "audit-test-pages", "new")
    second = alice.get(f"/audit?limit=3&action=audit-test-pages&before={first['items'][-1]['number']}").get_json()
    assert [item["target"] for item in (*first["items"], *second["items"])] == ["5", "4", "3", "2", "1", "0"]
    assert second["newest"] == first["newest"] + 1


def test_entries_are_found_by_their_group_and_their_time(alice: Person, box: TestBox) -> None:
    made = alice.post("/me/keys", json={"name": "for the log"}).get_json()["item"]["id"]
    entry = box.services.audit.entries(1, actions=["api-key-created"])[0]
    moment = clock.iso(entry.at - 60)
    found = alice.get(f"/audit?group=keys&actor=alice&since={moment}").get_json()["items"]
    assert found[0]["target"] == made
    assert {item["group"] for item in found} == {"keys"}
    assert made not in {item["target"] for item in alice.get(f"/audit?group=keys&until={moment}").get_json()["items"]}
    assert alice.get(f"/audit?group=models&actor=alice&since={clock.iso(entry.at + 60)}").get_json()["items"] == []
    alice.delete(f"/me/keys/{made}")


def test_an_entry_says_where_it_came_from(alice: Person, box: TestBox) -> None:
    made = alice.post("/me/keys", json={"name": "robot"}).get_json()
    client = box.app.test_client()
    message = {"model": "talker", "messages": [{"role": "user", "content": "[[words 2]] hi"}]}
    client.post("/v1/chat/completions", json=message, headers={"X-Api-Key": made["key"]})
    alice.post("/ask", json={"question": "hello", "base_ids": []})
    newest = {item["action"]: item for item in reversed(alice.get("/audit?limit=20&actor=alice").get_json()["items"])}
    ways = {name: (newest[name]["detail"]["via"], newest[name]["detail"]["from"]) for name in ("api-chat", "asked")}
    assert ways == {"api-chat": ("program", "127.0.0.1"), "asked": ("browser", "127.0.0.1")}
    alice.delete(f"/me/keys/{made['item']['id']}")


def test_people_and_things_have_the_names_of_today(alice: Person, box: TestBox) -> None:
    carol = box.person("carol-of-the-log")
    base = carol.post("/bases", json={"name": "Carol's own"}).get_json()["id"]
    document = add(carol, base, "carol.md", b"# Nothing\n\nThere is nothing here.\n")["id"]

    def entry() -> dict[str, Any]:
        found = alice.get("/audit?actor=carol-of-the-log&action=document-added").get_json()["items"]
        assert [item["target"] for item in found] == [document]
        return dict(found[0])

    hidden = entry()
    assert hidden["who"] == {"name": "Carol-Of-The-Log", "account": "carol-of-the-log", "kind": "person"}
    assert hidden["what"] == {"kind": "document", "name": "", "state": "unknown"}  # it is Carol's, and private
    assert hidden["named"]["base"] == {"kind": "base", "name": "", "state": "unknown"}
    carol.patch(f"/bases/{base}", json={"visibility": "everyone"})
    assert entry()["what"] == {"kind": "document", "name": "carol.md", "state": "there"}
    carol.delete(f"/bases/{base}")
    assert entry()["what"] == hidden["what"]  # gone looks as hidden did
    alice.delete(f"/users/{carol.id}")
    assert entry()["who"]["kind"] == "gone"
    erased = alice.get("/audit?action=user-deleted&limit=1").get_json()["items"][0]
    assert (erased["target"], erased["what"]["state"]) == (carol.id, "gone")


def test_an_account_called_like_the_terminals_operator_is_not_taken_for_it(alice: Person, box: TestBox) -> None:
    namesake = box.person("operator")
    namesake.post("/me/keys", json={"name": "x"})
    namesake.post("/ask", json={"question": "hello", "base_ids": []})
    item = alice.get("/audit?actor=operator&action=asked&limit=1").get_json()["items"][0]
    assert item["who"] == {"name": "Operator", "account": "operator", "kind": "person"}
    alice.delete(f"/users/{namesake.id}")


def test_titles_of_chats_and_names_of_others_keys_are_told_to_nobody(alice: Person, bob: Person) -> None:
    key = bob.post("/me/keys", json={"name": "bobs-secret-key"}).get_json()["item"]["id"]
    own = alice.post("/me/keys", json={"name": "my-key"}).get_json()["item"]["id"]
    items = {item["target"]: item for item in alice.get("/audit?group=keys&limit=20").get_json()["items"]}
    assert items[key]["what"] == {"kind": "key", "name": "", "state": "unknown"}
    assert items[own]["what"] == {"kind": "key", "name": "my-key", "state": "there"}
    bob.delete(f"/me/keys/{key}")
    alice.delete(f"/me/keys/{own}")


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=1001", "before=x", "before=0", f"before={1 << 63}", "order=asc", "action=" + "x" * 201,
        "group=others", "since=yesterday", "since=2026-11-23T10:00:00",
    ],
)  # fmt: skip
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


def test_a_look_tells_how_far_it_is(alice: Person, box: TestBox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_api, "_TELL_S", 0.01)
    monkeypatch.setattr(audit_check, "_TOLD_EVERY", 1)
    slowly = box.services.audit.verify

    def verify(*, told: Callable[[int, int], None], **given: Any) -> Report:
        def tell(done: int, total: int) -> None:
            time.sleep(0.02 if done < 5 else 0)
            told(done, total)

        return slowly(told=tell, **given)

    monkeypatch.setattr(box.services.audit, "verify", verify)
    answer = alice.post("/audit/verify", json={}, headers={"Accept": "text/event-stream"})
    heard = [(event, json.loads(data)) for event, data in EVENT.findall(answer.get_data(as_text=True))]
    assert {event for event, _data in heard[:-1]} == {"progress"}
    assert [data["done"] for _event, data in heard[:-1]] == sorted(data["done"] for _event, data in heard[:-1])
    last, report = heard[-1]
    assert (last, report["whole"], report["sound"]) == ("done", True, True)


def test_findings_are_sentences_in_the_readers_language(alice: Person, broken: Audit) -> None:
    told = alice.post("/audit/verify", json={}, headers={"Accept-Language": "ja"}).get_json()
    assert not told["sound"]
    first = next(found for found in told["findings"] if found["kind"] == "entry")
    assert (first["key"], first["accepted"]) == ("entry:1-1", False)
    assert first["title"]
    assert "{" not in first["title"]


def test_taking_note_asks_for_the_password_and_for_what_was_shown(alice: Person, broken: Audit) -> None:
    keys = [found["key"] for found in alice.post("/audit/verify", json={}).get_json()["findings"]]
    wrong = alice.post("/audit/accept", json={"findings": keys, "reason": "known", "password": "wrong"})
    assert (wrong.status_code, wrong.get_json()["code"]) == (401, "HK-AUTH-002")
    for reason in ("", "  ", "a\nb", "x" * 201):
        refused = alice.post("/audit/accept", json={"findings": keys, "reason": reason, "password": PASSWORD})
        assert (refused.status_code, refused.get_json()["params"]["field"]) == (400, "reason")
    known = {"reason": "known", "password": PASSWORD}
    other = alice.post("/audit/accept", json={"findings": ["entry:9-9"], **known})
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
