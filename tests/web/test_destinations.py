"""Other machines as an operator names them over the API: who may, what is refused and how, what is shown of it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulators.box import PASSWORD, Person, TestBox

LAB: dict[str, Any] = {
    "name": "lab",
    "url": "http://127.0.0.1:9/v1",
    "private": True,
    "key": "sk-very-secret",
    "models": [{"name": "org/talker:4b"}],
    "password": PASSWORD,
}


@pytest.fixture
def lab(alice: Person) -> Iterator[dict[str, Any]]:
    answer = alice.post("/destinations", json=LAB)
    assert answer.status_code == 201, answer.get_json()
    yield answer.get_json()
    alice.delete("/destinations/lab")


def test_without_a_destination_the_state_is_as_ever(alice: Person) -> None:
    gap = alice.get("/state").get_json()["gap"]
    assert (gap["state"], gap["destinations"]) == ("closed", [])


def test_mallory_can_neither_name_nor_see_nor_ask_nor_remove_one(
    mallory: Person, lab: dict[str, Any], box: TestBox
) -> None:
    own = {**LAB, "name": "mine", "url": "http://127.0.0.1:10/v1"}
    answers = [
        mallory.post("/destinations", json=own),
        mallory.get("/destinations"),
        mallory.post(f"/destinations/{lab['name']}/test", json={}),
        mallory.delete(f"/destinations/{lab['name']}"),
    ]
    assert [answer.status_code for answer in answers] == [403] * 4
    assert list(box.services.destinations.all()) == ["lab"]


def test_the_key_is_nowhere_but_in_the_encrypted_database(alice: Person, lab: dict[str, Any], box: TestBox) -> None:
    assert (lab["has_key"], lab["address"]) == (True, "127.0.0.1")
    assert box.services.destination_keys.key("lab") == "sk-very-secret"
    shown = json.dumps([lab, alice.get("/destinations").get_json(), alice.get("/models").get_json()])
    stored = box.settings.destinations.read_text("utf-8")
    trail = " ".join(f"{entry.action} {entry.detail}" for entry in box.services.audit.entries())
    assert "very-secret" not in shown + stored + trail
    assert "destination-added" in trail
    alice.delete("/destinations/lab")
    assert box.services.destination_keys.key("lab") is None


def test_the_sign_of_the_gap_is_open_and_names_it_to_who_is_signed_in(
    bob: Person, lab: dict[str, Any], box: TestBox
) -> None:
    gap = bob.get("/state").get_json()["gap"]
    assert (gap["state"], gap["destinations"]) == (
        "open",
        [{"name": lab["name"], "address": "127.0.0.1", "kind": "models"}],
    )
    stranger = box.app.test_client().get("/api/v1/state").get_json()["gap"]
    assert (stranger["state"], "destinations" in stranger) == ("open", False)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"private": False}, "HK-NET-002"),
        ({"url": "http://lab/v1", "address": "169.254.169.254"}, "HK-NET-001"),
        ({"url": "http://[::ffff:169.254.169.254]/v1"}, "HK-NET-001"),
        ({"url": "http://8.8.8.8/v1"}, "HK-NET-003"),
        ({"url": "http://lab/v1"}, "HK-BOX-003"),
        ({"url": "http://me:word@127.0.0.1/v1"}, "HK-BOX-003"),
        ({"url": "gopher://127.0.0.1/"}, "HK-BOX-003"),
        ({"fingerprint": "ab"}, "HK-BOX-003"),
        ({"name": "a/b"}, "HK-BOX-003"),
        ({"key": "two words\n"}, "HK-BOX-003"),
        ({"models": [{"name": "a"}, {"name": "a"}]}, "HK-BOX-003"),
        ({"models": [{"name": "../a"}]}, "HK-BOX-003"),
    ],
)
def test_what_can_not_be_one_is_refused_with_its_reason(
    alice: Person, box: TestBox, change: dict[str, Any], code: str
) -> None:
    answer = alice.post("/destinations", json={**LAB, **change})
    assert (answer.status_code in (400, 422), answer.get_json()["code"]) == (True, code)
    assert box.services.destinations.all() == {}


def test_a_name_is_given_once(alice: Person, lab: dict[str, Any], box: TestBox) -> None:
    again = alice.post("/destinations", json={**LAB, "name": lab["name"], "key": "another"})
    assert (again.status_code, again.get_json()["code"]) == (409, "HK-BOX-009")
    assert box.services.destination_keys.key("lab") == "sk-very-secret"


def test_its_models_are_listed_everywhere_models_are(alice: Person, bob: Person, lab: dict[str, Any]) -> None:
    model = f"{lab['name']}/org/talker:4b"
    listed = {item["id"]: item for item in bob.get("/models").get_json()["items"]}[model]
    assert (listed["engine"], listed["state"], listed["size_bytes"]) == ("remote", "loaded", 0)
    assert model in [item["id"] for item in bob.get("//v1/models").get_json()["data"]]
    assert bob.get(f"//v1/models/{model}").get_json()["id"] == model
    shown = alice.get(f"/models/{model.replace('/', '%2F')}").get_json()
    assert (shown["id"], shown["files"], shown["estimate"]) == (model, [], None)
    assert alice.post(f"/models/{model}/load", json={}).get_json()["code"] == "HK-NET-007"
    assert alice.put("/models/aliases/gpt-far", json={"model": model}).status_code == 204
    assert alice.get(f"/models/{model}").get_json()["aliases"] == ["gpt-far"]
    alice.delete("/destinations/lab")
    assert alice.get(f"/models/{model}").status_code == 404
    assert alice.delete("/models/aliases/gpt-far").status_code == 404


def test_its_tokens_are_estimated_here(bob: Person, lab: dict[str, Any]) -> None:
    body = {"model": f"{lab['name']}/org/talker:4b", "messages": [{"role": "user", "content": "how many"}]}
    answer = bob.post("//v1/messages/count_tokens", json=body)
    assert answer.status_code == 200
    assert 5 < answer.get_json()["input_tokens"] < 100


def test_a_damaged_list_is_told_and_neither_used_nor_overwritten(alice: Person, box: TestBox) -> None:
    path = box.settings.destinations
    path.write_text("[{", "utf-8")
    try:
        answers = [alice.get("/destinations"), alice.post("/destinations", json=LAB), alice.delete("/destinations/lab")]
        assert [answer.get_json()["code"] for answer in answers] == ["HK-NET-008"] * 3
        assert alice.get("/state").get_json()["gap"]["state"] == "closed"
        assert path.read_text("utf-8") == "[{"
        assert box.services.destination_keys.key("lab") is None
    finally:
        path.unlink()
