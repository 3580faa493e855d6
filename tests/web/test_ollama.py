"""The Ollama dialect: shapes, streams, refusals, names, and a base as a model."""

import json
import re
from typing import Any

import numpy as np
import pytest

from appliance.errors import BadInputError
from appliance.inference.engines import scripted
from tests.simulators.box import Person, TestBox
from webui.dialects.ollama_chat import _calls
from webui.dialects.ollama_embed import _of_length_one
from webui.dialects.ollama_errors import body as error_body
from webui.dialects.ollama_request import ChatBody, GenerateBody, Options

Chat = dict[str, Any]
QUESTION = {"role": "user", "content": "夜勤手当は1回につきいくらですか。"}


def chat(person: Person, **body: Any) -> Any:
    default = {"model": "talker", "messages": [{"role": "user", "content": "[[words 4]] hi"}]}
    return person.post("//api/chat", json=default | body)


def generate(person: Person, **body: Any) -> Any:
    return person.post("//api/generate", json={"model": "talker", "prompt": "[[words 4]] hi"} | body)


def lines(answer: Any) -> list[Chat]:
    assert answer.content_type == "application/x-ndjson"
    text = answer.get_data(as_text=True)
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def check_figures(last: Chat) -> None:
    durations = [last[name] for name in ("load_duration", "prompt_eval_duration", "eval_duration")]
    assert all(isinstance(duration, int) and duration >= 0 for duration in durations)
    assert last["total_duration"] == sum(durations) > 100_000  # nanoseconds
    assert last["eval_count"] == 4
    assert last["prompt_eval_count"] > 0


# -- chat


def test_a_chat_streams_lines_unless_told_otherwise(bob: Person) -> None:
    found = lines(chat(bob))
    assert "".join(line["message"]["content"] for line in found) == "word0 word1 word2 word3"
    assert [line["done"] for line in found] == [False] * 4 + [True]
    assert {line["model"] for line in found} == {"talker"}
    assert all(line["message"]["role"] == "assistant" for line in found)
    assert all(re.fullmatch(r"[0-9-]{10}T[0-9:]{8}\.[0-9]{9}Z", line["created_at"]) for line in found)
    assert found[-1]["done_reason"] == "stop"
    assert "done_reason" not in found[0]
    check_figures(found[-1])


def test_a_whole_chat_is_one_object(bob: Person) -> None:
    answer = chat(bob, stream=False)
    assert answer.content_type == "application/json"
    whole = answer.get_json()
    assert whole["message"] == {"role": "assistant", "content": "word0 word1 word2 word3"}
    assert (whole["done"], whole["done_reason"]) == (True, "stop")
    check_figures(whole)


def test_a_length_cut_is_told(bob: Person) -> None:
    assert lines(chat(bob, options={"num_predict": 2}))[-1]["done_reason"] == "length"
    assert chat(bob, options={"num_predict": 2}, stream=False).get_json()["eval_count"] == 2
    for unlimited in (-1, -2, 0):
        assert chat(bob, options={"num_predict": unlimited}, stream=False).get_json()["done_reason"] == "stop"


@pytest.mark.parametrize("name", ["talker", "talker:latest", "Talker:latest"])
def test_a_model_has_its_name_with_and_without_the_tag(bob: Person, name: str) -> None:
    whole = chat(bob, model=name, stream=False).get_json()
    assert (whole["model"], whole["done"]) == (name, True)


def test_what_says_how_to_load_is_ignored(bob: Person) -> None:
    options = {"num_ctx": 10**9, "num_thread": 64, "num_gpu": 99, "mirostat": 2, "use_mmap": False, "seed": -1}
    answer = chat(bob, options=options, keep_alive="10m", truncate=True, shift=False, stream=False)
    assert answer.status_code == 200


def test_a_body_counts_as_json_whatever_curl_calls_it(bob: Person) -> None:
    body = json.dumps({"model": "talker", "prompt": "[[words 4]] hi"})
    answer = bob.post("//api/generate", data=body, content_type="application/x-www-form-urlencoded")
    assert lines(answer)[-1]["done"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": "x", "images": [7]}]}, "messages.0.images"),
        ({"messages": [{"role": "assistant", "content": "x", "images": ["aGk="]}]}, "messages.0.images"),
        ({"options": {"temperature": -1}}, "options.temperature"),
        ({"options": {"top_p": "much"}}, "options.top_p"),
        ({"options": {"stop": ["x"] * 17}}, "options.stop"),
        ({"format": "yaml"}, "format"),
        ({"model": ""}, "model"),
    ],
)
def test_bad_requests_name_the_field(bob: Person, body: Chat, field: str) -> None:
    answer = chat(bob, **body)
    assert answer.status_code == 400
    assert answer.get_json().keys() == {"error", "hako_code"}
    assert field in answer.get_json()["error"]


def test_too_long_a_prompt_is_refused(bob: Person) -> None:
    answer = chat(bob, messages=[{"role": "user", "content": "word " * 6000}])
    assert (answer.status_code, answer.get_json()["hako_code"]) == (400, "HK-MOD-005")


def test_a_child_that_dies_in_a_stream_becomes_a_line(bob: Person, box: TestBox) -> None:
    found = lines(chat(bob, messages=[{"role": "user", "content": "[[words 9]] [[die 3]] [[delay 30]] oh"}]))
    assert "HK-MOD-003" in found[-1]["error"]
    box.services.gateway.load("talker")  # else the deaths of several tests would add up to a quarantine
    assert chat(bob, stream=False).status_code == 200


# -- generate


def test_a_prompt_is_answered_in_lines_and_whole(bob: Person) -> None:
    found = lines(generate(bob))
    assert "".join(line["response"] for line in found) == "word0 word1 word2 word3"
    assert all("message" not in line for line in found)
    check_figures(found[-1])
    assert generate(bob, stream=False).get_json()["response"] == "word0 word1 word2 word3"


def test_a_system_prompt_is_put_in_front(bob: Person) -> None:
    short, long = (
        generate(bob, system=system, stream=False).get_json()["prompt_eval_count"]
        for system in ("", "Answer like a pirate")
    )
    assert long > short


@pytest.mark.parametrize("wish", [{"template": "{{ .Prompt }}"}, {"suffix": "end"}, {"context": [1]}])
def test_what_the_box_can_not_do_with_a_prompt_is_refused(bob: Person, wish: Chat) -> None:
    answer = generate(bob, **wish)
    assert answer.status_code == 400
    assert next(iter(wish)) in answer.get_json()["error"]
    empty = {name: type(value)() for name, value in wish.items()}
    assert generate(bob, **empty, stream=False).status_code == 200


def test_a_raw_prompt_goes_on_as_it_stands(bob: Person) -> None:
    found = lines(generate(bob, raw=True, options={"num_predict": 3, "stop": ["x"]}))
    assert "".join(line["response"] for line in found) == "word0 word1 word2"
    assert (found[-1]["done_reason"], found[-1]["eval_count"]) == ("length", 3)
    assert generate(bob, raw=True, stream=False).get_json()["response"] == "word0 word1 word2 word3"
    asked = GenerateBody(model="m", prompt="x", raw=True, logprobs=True).as_engine()
    assert (asked["prompt"], asked["n_probs"], "messages" in asked) == ("x", 1, False)


@pytest.mark.parametrize("wish", [{"system": "be kind"}, {"images": ["aGk="]}, {"format": "json"}])
def test_beside_a_raw_prompt_there_is_no_place_for_what_a_template_says(bob: Person, wish: Chat) -> None:
    answer = generate(bob, raw=True, **wish)
    assert answer.status_code == 400
    assert next(iter(wish)) in answer.get_json()["error"]


def test_nothing_to_answer_loads_the_model(bob: Person) -> None:
    for answer in (generate(bob, prompt=""), chat(bob, messages=[]), chat(bob, messages=None)):
        assert (answer.get_json()["done"], answer.get_json()["done_reason"]) == (True, "load")
    assert generate(bob, prompt="", model="nobody").status_code == 404
    assert generate(bob, prompt="", model="embedder").get_json()["response"] == ""


@pytest.mark.parametrize("wish", [0, "0", "0s", "0m"])
def test_a_members_wish_to_unload_is_answered_and_the_model_stays(bob: Person, wish: Any) -> None:
    assert chat(bob, keep_alive=wish, stream=False).status_code == 200
    assert generate(bob, prompt="", keep_alive=wish).get_json()["done_reason"] == "unload"
    assert "talker:latest" in {model["name"] for model in bob.get("//api/ps").get_json()["models"]}


# -- what the engine is given


def test_options_become_the_engines_parameters() -> None:
    given = {
        "temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.1, "seed": 2**40, "num_predict": 7, "stop": "x",
        "repeat_penalty": 1.1, "presence_penalty": 0.2, "frequency_penalty": 0.3, "num_ctx": 5,
    }  # fmt: skip
    assert Options.model_validate(given).as_engine() == {
        "temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.1, "seed": 2**40 % (2**31 - 1), "max_tokens": 7,
        "stop": ["x"], "repeat_penalty": 1.1, "presence_penalty": 0.2, "frequency_penalty": 0.3,
    }  # fmt: skip


def test_both_formats_become_the_engines() -> None:
    def wanted(given: object) -> object:
        body = GenerateBody.model_validate({"model": "m", "prompt": "p", "format": given})
        return body.as_engine().get("response_format")

    schema = {"type": "object"}
    assert wanted(None) is wanted("") is None
    assert wanted("json") == {"type": "json_object"}
    assert wanted(schema) == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": schema, "strict": True},
    }


def test_calls_and_their_results_are_tied_together() -> None:
    calls = [{"function": {"name": name, "arguments": {"city": "東京"}}} for name in ("weather", "time")]
    messages = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": "", "tool_calls": calls},
        {"role": "tool", "content": "nine", "tool_name": "time"},
        {"role": "tool", "content": "sunny"},
    ]
    body = ChatBody.model_validate({"model": "m", "messages": messages, "tools": [{"function": {"name": "time"}}]})
    engine = body.as_engine()
    made = engine["messages"][1]["tool_calls"]
    assert [call["function"]["arguments"] for call in made] == ['{"city": "東京"}'] * 2
    assert [message["tool_call_id"] for message in engine["messages"][2:]] == [made[1]["id"], made[0]["id"]]
    assert engine["tools"] == [{"type": "function", "function": {"name": "time"}}]


def test_calls_come_back_with_objects_and_half_a_call_stays_text() -> None:
    def made(arguments: str) -> Chat:
        return {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": arguments}}

    piece = _calls([made('{"city": "東京"}'), made('{"ci')])
    assert piece.calls == [{"id": "c1", "function": {"index": 0, "name": "weather", "arguments": {"city": "東京"}}}]
    assert piece.text == '{"ci'


def test_a_field_that_the_engine_blames_has_the_clients_name() -> None:
    assert "“format”" in error_body(BadInputError(field="response_format"), "en")["error"]


# -- embeddings


def test_embeddings_are_normalised_and_in_order(bob: Person) -> None:
    texts = ["猫が好きです", "I like cats"]
    several = bob.post("//api/embed", json={"model": "embedder:latest", "input": texts}).get_json()
    single = bob.post("//api/embed", json={"model": "embedder", "input": texts[1]}).get_json()
    old = bob.post("//api/embeddings", json={"model": "embedder", "prompt": texts[1]}).get_json()
    assert np.isclose(np.linalg.norm(several["embeddings"][0]), 1, atol=1e-4)
    assert several["embeddings"][1] == single["embeddings"][0] == old["embedding"]
    assert several["prompt_eval_count"] > 0
    assert several["total_duration"] > 0


def test_vectors_of_another_length_are_brought_to_one() -> None:
    given = np.array([[3, 4], [0, 0], [0.6, 0.8]], np.float32)
    assert np.allclose(_of_length_one(given), [[0.6, 0.8], [0, 0], [0.6, 0.8]])
    assert _of_length_one(np.empty((0, 2), np.float32)).shape == (0, 2)


def test_nothing_to_embed_is_an_empty_list(bob: Person) -> None:
    nothing: Any
    for nothing in ("", []):
        assert bob.post("//api/embed", json={"model": "embedder", "input": nothing}).get_json()["embeddings"] == []
    assert bob.post("//api/embeddings", json={"model": "embedder"}).get_json()["embedding"] == []


def test_a_long_text_is_cut_unless_told_otherwise(bob: Person) -> None:
    body = {"model": "embedder", "input": "word " * 600}
    assert bob.post("//api/embed", json=body).status_code == 200
    assert bob.post("//api/embed", json=body | {"truncate": False}).get_json()["hako_code"] == "HK-MOD-005"
    assert "dimensions" in bob.post("//api/embed", json=body | {"dimensions": 64}).get_json()["error"]


# -- models


def test_models_and_bases_are_listed_with_their_details(bob: Person, mallory: Person, handbook: Chat) -> None:
    def listed(who: Person) -> dict[str, Chat]:
        return {model["name"]: model for model in who.get("//api/tags").get_json()["models"]}

    found = listed(bob)
    assert {"talker:latest", "embedder:latest", "kb:Bob's handbook"} <= found.keys()
    assert "kb:Bob's handbook" not in listed(mallory)
    for model in found.values():
        assert len(model["digest"]) == 64
        assert model["model"] == model["name"]
        assert {"format", "family", "families", "parameter_size", "quantization_level"} <= model["details"].keys()


@pytest.mark.parametrize(
    ("asked", "capability"),
    [({"model": "talker"}, "completion"), ({"name": "embedder:latest"}, "embedding")],
)
def test_a_model_is_shown_with_the_context_it_has(bob: Person, asked: Chat, capability: str) -> None:
    shown = bob.post("//api/show", json=asked).get_json()
    assert shown["capabilities"] == [capability]
    family = shown["model_info"]["general.architecture"]
    assert shown["model_info"][f"{family}.context_length"] in (4096, 512)
    assert shown["license"] == "Apache-2.0"


def test_a_base_is_shown_to_who_may_read_it(bob: Person, mallory: Person, handbook: Chat) -> None:
    wanted = {"model": "kb:Bob's handbook"}
    assert bob.post("//api/show", json=wanted).get_json()["capabilities"] == ["completion"]
    assert mallory.post("//api/show", json=wanted).status_code == 404
    assert bob.post("//api/show", json={}).status_code == 400


def test_what_is_loaded_is_told(bob: Person) -> None:
    chat(bob)
    models = {model["name"]: model for model in bob.get("//api/ps").get_json()["models"]}
    assert models["talker:latest"]["size"] > 0
    assert models["talker:latest"]["size_vram"] == 0
    assert models["talker:latest"]["context_length"] == 4096


def test_the_version_is_one_that_clients_compare(bob: Person) -> None:
    version = bob.get("//api/version").get_json()["version"]
    release, _, vendor = version.partition("+")
    assert all(part.isdecimal() for part in release.split("."))
    assert vendor.startswith("hako.")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "pull"),
        ("POST", "push"),
        ("POST", "create"),
    ],
)
def test_models_come_by_usb_only(bob: Person, method: str, path: str) -> None:
    answer = bob.open(f"//api/{path}", method=method, json={"model": "llama3", "source": "a", "destination": "b"})
    assert (answer.status_code, answer.get_json()["hako_code"]) == (403, "HK-MOD-020")
    assert "USB" in answer.get_json()["error"]


def test_an_operator_gives_a_model_another_name_and_takes_it_away(alice: Person, bob: Person) -> None:
    wish = {"source": "Talker:latest", "destination": "Copied:7b"}
    assert alice.post("//api/copy", json=wish).status_code == 200
    assert "Copied:7b" in {model["name"] for model in bob.get("//api/tags").get_json()["models"]}
    assert chat(bob, model="copied:7B", stream=False).status_code == 200
    assert alice.delete("//api/delete", json={"name": "copied:7b"}).status_code == 200
    assert chat(bob, model="copied:7b").status_code == 404
    assert alice.delete("//api/delete", json={"model": "copied:7b"}).get_json()["hako_code"] == "HK-MOD-001"
    for action in ("model-alias-set", "model-alias-deleted"):
        assert alice.get(f"/audit?limit=1&action={action}").get_json()["items"][0]["target"] == "Copied:7b"


def test_an_operator_deletes_a_model(alice: Person, box: TestBox) -> None:
    scripted.install(box.settings.models, "leaving", "chat")
    alice.post("//api/copy", json={"source": "leaving", "destination": "gone-too"})
    assert alice.delete("//api/delete", json={"model": "leaving:latest"}).status_code == 200
    assert alice.post("//api/show", json={"model": "leaving"}).status_code == 404
    assert "gone-too" not in box.services.gateway.aliases.all()


@pytest.mark.parametrize(
    ("source", "name", "status", "code"),
    [
        ("nobody", "x", 404, "HK-MOD-001"),
        ("talker", "embedder", 409, "HK-BOX-009"),
        ("talker", "../x", 400, "HK-BOX-003"),
        ("talker", "kb:x", 400, "HK-BOX-003"),
        ("kb:Bob's handbook", "x", 404, "HK-MOD-001"),
    ],
)
def test_a_name_that_can_not_be_given_is_refused(
    alice: Person, handbook: Chat, source: str, name: str, status: int, code: str
) -> None:
    answer = alice.post("//api/copy", json={"source": source, "destination": name})
    assert (answer.status_code, answer.get_json()["hako_code"]) == (status, code)
    assert isinstance(answer.get_json()["error"], str)


def test_a_base_is_neither_copied_nor_deleted_here(alice: Person, handbook: Chat) -> None:
    assert alice.delete("//api/delete", json={"model": "kb:Bob's handbook"}).status_code == 404
    own = alice.post("/bases", json={"name": "stays"}).get_json()["id"]
    for answer, field in (
        (alice.post("//api/copy", json={"source": "kb:stays", "destination": "x"}), "source"),
        (alice.delete("//api/delete", json={"model": "kb:stays"}), "model"),
    ):
        assert answer.status_code == 400
        assert field in answer.get_json()["error"]
    assert alice.delete(f"/bases/{own}").status_code == 204


def test_who_is_no_operator_copies_and_deletes_nothing(bob: Person, mallory: Person) -> None:
    for person in (bob, mallory):
        for answer in (
            person.post("//api/copy", json={"source": "talker", "destination": "mine"}),
            person.delete("//api/delete", json={"model": "talker"}),
        ):
            assert (answer.status_code, answer.get_json()["hako_code"]) == (403, "HK-AUTH-003")


def test_a_model_that_is_here_needs_no_pull(bob: Person) -> None:
    for name in ("talker", "talker:latest"):
        assert bob.post("//api/pull", json={"model": name}).get_json() == {"status": "success"}


def test_an_alias_of_a_model_that_is_here_needs_no_pull(bob: Person, alice: Person) -> None:
    assert alice.put("/models/aliases/pulled-often", json={"model": "talker"}).status_code == 204
    try:
        assert bob.post("//api/pull", json={"model": "pulled-often"}).get_json() == {"status": "success"}
    finally:
        alice.delete("/models/aliases/pulled-often")


# -- errors


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/nothing", 404),
        ("GET", "/api/blobs/sha256:00", 404),
        ("POST", "/api/blobs/sha256:00", 404),
        ("POST", "/api/tags", 405),
        ("GET", "/api/chat", 404),
    ],
)
def test_every_error_below_api_has_ollamas_shape(bob: Person, method: str, path: str, status: int) -> None:
    answer = bob.open("/" + path, method=method)
    assert answer.status_code == status
    assert isinstance(answer.get_json()["error"], str)


def test_our_own_api_keeps_its_shape(bob: Person) -> None:
    assert bob.get("/nothing").get_json()["code"] == "HK-BOX-004"
    assert bob.get("/bases/none").content_type == "application/problem+json"


@pytest.mark.parametrize("header", [{"Authorization": "Bearer hako_wrong"}, {"X-Api-Key": "hako_wrong"}, {}])
def test_without_a_valid_key_nothing_is_given(box: TestBox, header: dict[str, str]) -> None:
    for path in ("tags", "version", "ps"):
        answer = box.app.test_client().get(f"/api/{path}", headers=header)
        assert (answer.status_code, answer.get_json()["hako_code"]) == (401, "HK-AUTH-001")
        assert isinstance(answer.get_json()["error"], str)


def test_an_unknown_model_is_not_found_by_any_way(bob: Person) -> None:
    for answer in (
        chat(bob, model="llama3"),
        generate(bob, model="llama3"),
        bob.post("//api/show", json={"model": "llama3"}),
        bob.post("//api/embed", json={"model": "llama3", "input": "x"}),
    ):
        assert (answer.status_code, answer.get_json()["hako_code"]) == (404, "HK-MOD-001")
        assert answer.get_json()["error"].startswith("model 'llama3' not found: ")
    assert chat(bob, model="embedder").get_json()["hako_code"] == "HK-MOD-008"


def test_answers_leave_their_places_free(bob: Person, box: TestBox) -> None:
    for answer in (chat(bob), chat(bob, model="llama3"), generate(bob, prompt=""), generate(bob, stream=False)):
        assert answer.get_data()
    assert box.box.places.taken == 0


# -- bases


def test_a_base_answers_as_a_model_with_citations(bob: Person, handbook: Chat) -> None:
    asked = {"model": "kb:Bob's handbook", "messages": [QUESTION]}
    found = lines(chat(bob, **asked))
    text = "".join(line["message"]["content"] for line in found)
    assert "[1]" in text
    assert found[-1]["citations"][0]["document"] == "handbook.md"
    assert "verdict" in found[-1]
    assert "citations" not in found[0]
    whole = chat(bob, **asked, stream=False).get_json()
    assert (whole["message"]["content"], whole["citations"]) == (text, found[-1]["citations"])
    assert generate(bob, model="kb:Bob's handbook", prompt="x", raw=True).status_code == 400
    prompted = generate(bob, model="kb:Bob's handbook:latest", prompt=QUESTION["content"], stream=False).get_json()
    assert (prompted["response"], prompted["citations"]) == (text, whole["citations"])


def test_anothers_base_is_no_model(mallory: Person, handbook: Chat) -> None:
    for name in ("Bob's handbook", handbook["base"]):
        assert chat(mallory, model=f"kb:{name}").status_code == 404
        assert generate(mallory, model=f"kb:{name}", prompt="").status_code == 404


def test_a_base_is_asked_by_a_person(bob: Person, handbook: Chat) -> None:
    answer = chat(bob, model="kb:Bob's handbook", messages=[QUESTION, {"role": "assistant", "content": "?"}])
    assert answer.status_code == 400
