"""`/api/v1/presets`: kept, shared, exported, taken in; what a file may hold; and the playground's own request."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulators.box import Person
from webui.api.presets import Sampling
from webui.dialects.openai_request import ChatBody

SAMPLING = {
    "temperature": 0.3,
    "top_p": 0.9,
    "top_k": 40,
    "min_p": 0.05,
    "repeat_penalty": 1.1,
    "typical_p": 0.9,
    "xtc_probability": 0.1,
    "xtc_threshold": 0.2,
    "dry_multiplier": 0.8,
    "dry_base": 1.75,
    "dry_allowed_length": 2,
    "mirostat": 2,
    "mirostat_tau": 5.0,
    "mirostat_eta": 0.1,
    "frequency_penalty": -0.5,
    "presence_penalty": 0.5,
    "seed": 7,
    "max_tokens": 64,
    "stop": ["\n\n", "終わり"],
    "logit_bias": {"12": -5.0},
    "json_schema": {"type": "object", "properties": {"答え": {"type": "string"}}},
}
FILE: dict[str, Any] = {"format": "hako-preset", "version": 1, "name": "要約", "system": "短く。", "sampling": SAMPLING}


@pytest.fixture
def preset(bob: Person) -> Iterator[dict[str, Any]]:
    made: dict[str, Any] = bob.post(
        "/presets", json={"name": "Summary", "system": "Be brief.", "sampling": SAMPLING}
    ).get_json()
    yield made
    bob.delete(f"/presets/{made['id']}")


def test_a_preset_has_every_parameter_and_can_be_changed_and_deleted(bob: Person, preset: dict[str, Any]) -> None:
    assert preset["sampling"] == SAMPLING
    assert (preset["shared"], preset["changeable"]) == (False, True)
    where = f"/presets/{preset['id']}"
    assert bob.get(where).get_json() == preset
    assert preset["id"] in {each["id"] for each in bob.get("/presets").get_json()["items"]}
    changed = bob.patch(where, json={"name": "Shorter", "sampling": {"top_k": 1}}).get_json()
    assert (changed["name"], changed["system"], changed["sampling"]) == ("Shorter", "Be brief.", {"top_k": 1})
    assert bob.delete(where).status_code == 204
    assert bob.get(where).status_code == 404


def test_mallory_finds_nothing_of_bobs(mallory: Person, preset: dict[str, Any]) -> None:
    where = f"/presets/{preset['id']}"
    assert mallory.get(where).status_code == 404
    assert mallory.get(f"{where}/export").status_code == 404
    assert mallory.patch(where, json={"name": "mine"}).status_code == 404
    assert mallory.delete(where).status_code == 404
    assert preset["id"] not in {each["id"] for each in mallory.get("/presets").get_json()["items"]}


def test_only_an_operator_shares_and_everybody_uses(alice: Person, bob: Person, preset: dict[str, Any]) -> None:
    assert bob.patch(f"/presets/{preset['id']}", json={"shared": True}).status_code == 403
    assert bob.post("/presets", json={"name": "For all", "shared": True}).status_code == 403
    made = alice.post("/presets", json={"name": "House style", "system": "Kind.", "shared": True}).get_json()
    seen = next(each for each in bob.get("/presets").get_json()["items"] if each["id"] == made["id"])
    assert (seen["shared"], seen["changeable"], seen["system"]) == (True, False, "Kind.")
    assert bob.patch(f"/presets/{made['id']}", json={"system": "Rude."}).status_code == 403
    assert bob.delete(f"/presets/{made['id']}").status_code == 403
    assert bob.get(f"/presets/{made['id']}/export").status_code == 200
    assert alice.delete(f"/presets/{made['id']}").status_code == 204


def test_an_operators_key_does_not_share(alice: Person) -> None:
    key = alice.post("/me/keys", json={"name": "presets"}).get_json()
    answer = alice.post(
        "/presets", json={"name": "For all", "shared": True}, headers={"Authorization": f"Bearer {key['key']}"}
    )
    assert answer.status_code == 403
    alice.delete(f"/me/keys/{key['item']['id']}")


def test_an_exported_file_is_taken_in_as_ones_own(bob: Person, mallory: Person, preset: dict[str, Any]) -> None:
    answer = bob.get(f"/presets/{preset['id']}/export")
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''Summary.json"
    file = json.loads(answer.get_data(as_text=True))
    assert file == {**FILE, "name": "Summary", "system": "Be brief."}
    taken = mallory.post("/presets/import", json=file).get_json()
    assert taken["id"] != preset["id"]
    assert (taken["sampling"], taken["shared"]) == (SAMPLING, False)
    mallory.delete(f"/presets/{taken['id']}")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"format": "other"}, "format"),
        ({"version": 2}, "version"),
        ({"name": " "}, "name"),
        ({"name": "n" * 121}, "name"),
        ({"system": "x" * 20_001}, "system"),
        ({"owner_id": "user_1"}, "owner_id"),
        ({"shared": True}, "shared"),
        ({"sampling": {"temperature": 2.1}}, "sampling.temperature"),
        ({"sampling": {"temperature": "hot"}}, "sampling.temperature"),
        ({"sampling": {"top_k": 1.5}}, "sampling.top_k"),
        ({"sampling": {"stop": ["x"] * 17}}, "sampling.stop"),
        ({"sampling": {"stop": ["x" * 201]}}, "sampling.stop.0"),
        ({"sampling": {"ignore_eos": True}}, "sampling.ignore_eos"),
        ({"sampling": {"logit_bias": {"12": 101}}}, "sampling.logit_bias.12"),
        ({"sampling": {"mirostat": 3}}, "sampling.mirostat"),
        ({"sampling": {"json_schema": {"enum": ["x" * 70_000]}}}, "sampling"),
    ],
    ids=str,
)
def test_a_file_that_does_not_fit_is_refused_and_its_field_named(
    bob: Person, change: dict[str, Any], field: str
) -> None:
    before = bob.get("/presets").get_json()
    answer = bob.post("/presets/import", json={**FILE, **change})
    assert (answer.status_code, answer.get_json()["code"]) == (400, "HK-BOX-003")
    assert answer.get_json()["params"]["field"] == field
    assert bob.get("/presets").get_json() == before


def test_what_is_shared_is_recorded_and_what_is_ones_own_is_not(alice: Person, box: Any) -> None:
    own = alice.post("/presets", json={"name": "own"}).get_json()["id"]
    shared = alice.post("/presets", json={"name": "shared", "shared": True}).get_json()["id"]
    alice.delete(f"/presets/{own}")
    alice.delete(f"/presets/{shared}")
    with box.services.database.read() as connection:
        rows = connection.execute(
            "select action, target from audit where target in (?, ?) order by number", (own, shared)
        ).fetchall()
    assert rows == [("preset-created", shared), ("preset-deleted", shared)]


def test_a_preset_knows_the_parameters_of_a_chat_request_with_the_same_bounds() -> None:
    ours, asked = (shape.model_json_schema()["properties"] for shape in (Sampling, ChatBody))
    assert set(ours) - set(asked) == {"json_schema"}
    for name in set(ours) - {"stop", "json_schema", "seed", "max_tokens", "logit_bias"}:
        assert ours[name]["anyOf"] == asked[name]["anyOf"], name


def test_a_browser_asks_a_model_by_its_session_and_gets_counts(bob: Person) -> None:
    asked = {name: value for name, value in SAMPLING.items() if name not in ("json_schema", "stop")}
    body = {
        "model": "talker",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "one two three"}],
        **asked,
        "logprobs": True,
        "top_logprobs": 5,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    told = bob.post("//v1/chat/completions", json=body).get_data(as_text=True)
    chunks = [json.loads(line[6:]) for line in told.splitlines() if line.startswith("data: {")]
    text = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    assert text == "one two three"
    assert [chunk["usage"]["completion_tokens"] for chunk in chunks if chunk.get("usage")] == [3]
    assert told.rstrip().endswith("data: [DONE]")
