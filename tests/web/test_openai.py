"""The OpenAI dialect: shapes, streams, refusals, and a base as a model."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from appliance.errors import (
    BusyError,
    HakoError,
    ModelChangedError,
    ModelFailedError,
    ModelQuarantinedError,
    ModelTooLargeError,
)
from appliance.gateway.gateway import Gateway
from appliance.gateway.stream import RawStream
from appliance.gateway.waited import Waited
from tests.simulators.box import Person, TestBox
from webui.dialects.openai_answer import Assembly, renamed
from webui.dialects.openai_request import ChatBody

Chat = dict[str, Any]
MESSAGE = {"messages": [{"role": "user", "content": "hi"}]}
PICTURE = {"type": "image_url", "image_url": {"url": "http://localhost/x.png"}}


def chat(person: Person, **body: Any) -> Any:
    default = {"model": "talker", "messages": [{"role": "user", "content": "[[words 4]] hi"}]}
    return person.post("//v1/chat/completions", json=default | body)


def chunks(answer: Any) -> list[Chat]:
    lines = answer.get_data(as_text=True).split("\n\n")
    assert lines[-2] == "data: [DONE]"
    return [json.loads(line[6:]) for line in lines[:-2] if line.startswith("data: ")]


def test_models_and_bases_are_listed(bob: Person, mallory: Person, handbook: dict[str, str]) -> None:
    def ids(who: Person) -> set[str]:
        return {model["id"] for model in who.get("//v1/models").get_json()["data"]}

    assert {"talker", "embedder", "kb:Bob's handbook"} <= ids(bob)
    assert "kb:Bob's handbook" not in ids(mallory)
    assert bob.get("//v1/models/kb:Bob's handbook").get_json()["object"] == "model"
    assert bob.get("//v1/models/none").status_code == 404


def test_a_whole_completion_has_the_shape(bob: Person) -> None:
    answer = chat(bob).get_json()
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"] == {
        "role": "assistant",
        "content": "word0 word1 word2 word3",
        "refusal": None,
    }
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] == 4


def test_a_stream_keeps_id_and_time_and_ends_with_its_finish(bob: Person) -> None:
    found = chunks(chat(bob, stream=True, stream_options={"include_usage": True}))
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in found}) == 1
    text = "".join(choice["delta"].get("content") or "" for chunk in found for choice in chunk["choices"])
    assert text == "word0 word1 word2 word3"
    assert [choice["finish_reason"] for chunk in found for choice in chunk["choices"] if choice["finish_reason"]] == [
        "stop"
    ]
    assert found[-1]["usage"]["completion_tokens"] == 4
    assert all("usage" not in chunk for chunk in chunks(chat(bob, stream=True)))


def test_a_model_is_called_as_the_client_called_it(bob: Person, alice: Person) -> None:
    assert alice.put("/models/aliases/GPT-4o-mini", json={"model": "talker"}).status_code == 204
    try:
        found = chunks(chat(bob, model="GPT-4o-mini", stream=True))
        assert {chunk["model"] for chunk in found} == {"GPT-4o-mini"}
        said = "".join(choice["delta"].get("content") or "" for chunk in found for choice in chunk["choices"])
        whole = chat(bob, model="GPT-4o-mini").get_json()
        assert (whole["model"], whole["choices"][0]["message"]["content"]) == ("GPT-4o-mini", said)
    finally:
        alice.delete("/models/aliases/GPT-4o-mini")


def test_chunks_are_renamed_wherever_they_were_cut() -> None:
    given = b'data: {"model":"m","choices":[]}\n\n: ping\n\ndata: {"error":{"message":"x"}}\n\ndata: [DONE]\n\n'
    wanted = given.replace(b'"m"', b'"alias"')
    for size in (1, 7, len(given)):
        parts = [given[start : start + size] for start in range(0, len(given), size)]
        assert b"".join(renamed(parts, "alias")) == wanted


def test_a_whole_answer_has_the_fingerprint_of_its_chunks() -> None:
    assembly = Assembly("m")
    assembly.add({"id": "x", "created": 1, "system_fingerprint": "b1-abc", "choices": []})
    assert assembly.completion()["system_fingerprint"] == "b1-abc"


def test_an_earlier_refusal_is_read_as_text(bob: Person) -> None:
    earlier = {"role": "assistant", "content": [{"type": "refusal", "refusal": "I can't."}]}
    body = ChatBody.model_validate({"model": "talker", "messages": [earlier, {"role": "user", "content": "hi"}]})
    assert body.as_engine()["messages"][0] == {"role": "assistant", "content": "I can't."}


def test_a_length_cut_is_told(bob: Person) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        assert chat(bob, **{name: 2}).get_json()["choices"][0]["finish_reason"] == "length"
    assert chat(bob, max_tokens=-1).get_json()["choices"][0]["finish_reason"] == "stop"


def test_only_a_developers_message_and_text_parts_are_fine(bob: Person) -> None:
    parts = [{"type": "text", "text": "[[words 1]] a"}, {"type": "text", "text": "b"}]
    assert chat(bob, messages=[{"role": "developer", "content": parts}]).status_code == 200


def test_what_clients_send_besides_is_ignored(bob: Person) -> None:
    more = {"user": "u", "store": False, "metadata": {}, "service_tier": "auto", "prompt_cache_key": "k", "n": 1}
    assert chat(bob, **more, n_discard=-5, seed=-9007199254740991, logit_bias={"foo": 0}).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages.0.role"),
        ({"temperature": -1}, "temperature"),
        ({"n": 2}, "n"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"grammar": 'root ::= "yes"'}, "grammar"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"max_tokens": 10**12}, "max_tokens"),
        ({"max_tokens": -2}, "max_tokens"),
        ({"response_format": {"type": "yaml"}}, "response_format"),
        ({"tools": [{"type": "web_search"}]}, "tools.0.type"),
        ({"tools": [{"type": "function"}]}, "tools.0.function"),
        ({"tools": [{"type": "function", "function": {"name": ""}}]}, "tools.0.function.name"),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": "x"}}]},
         "tools.0.function.parameters"),
        ({"messages": [{"role": "user", "content": [PICTURE]}]}, "messages"),
    ],
)  # fmt: skip
def test_bad_requests_name_the_field(bob: Person, body: Chat, field: str) -> None:
    answer = chat(bob, **body)
    assert (answer.status_code, answer.get_json()["error"]["param"]) == (400, field)
    assert answer.get_json()["error"]["type"] == "invalid_request_error"


def test_too_long_a_prompt_has_openais_code(bob: Person) -> None:
    answer = chat(bob, messages=[{"role": "user", "content": "word " * 6000}])
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (400, "context_length_exceeded")


def test_an_unknown_model_has_openais_code(bob: Person) -> None:
    answer = chat(bob, model="gpt-9")
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (404, "model_not_found")
    assert chat(bob, model="embedder").get_json()["error"]["hako_code"] == "HK-MOD-008"


@pytest.mark.parametrize(
    ("error", "status", "again"),
    [
        (ModelQuarantinedError(name="talker"), 503, "false"),
        (ModelChangedError(name="talker"), 500, "false"),
        (ModelTooLargeError(missing_gb=2), 507, "false"),
        (BusyError(retry_after_s=3), BusyError.status, None),
        (ModelFailedError(name="talker"), 502, None),
    ],
)
def test_clients_are_told_not_to_ask_again_where_that_helps_nobody(
    bob: Person, monkeypatch: pytest.MonkeyPatch, error: HakoError, status: int, again: str | None
) -> None:
    def fail(*_arguments: Any, **_options: Any) -> None:
        raise error

    monkeypatch.setattr(Gateway, "open", fail)
    for answer in (chat(bob), bob.post("//v1/messages", json={"model": "talker", "max_tokens": 9, **MESSAGE})):
        assert (answer.status_code, answer.headers.get("x-should-retry")) == (status, again)
        assert ("Retry-After" in answer.headers) == isinstance(error, BusyError)


def test_a_child_that_dies_in_a_stream_becomes_an_error_event(bob: Person, box: TestBox) -> None:
    body = {"messages": [{"role": "user", "content": "[[words 9]] [[die 3]] [[delay 30]] oh"}], "stream": True}
    last = chat(bob, **body).get_data(as_text=True).strip().split("\n\n")[-1]
    assert json.loads(last.removeprefix("data: "))["error"]["hako_code"] == "HK-MOD-003"
    box.services.gateway.load("talker")  # else the deaths of several tests would add up to a quarantine
    assert chat(bob).status_code == 200


class Broken(RawStream):
    """An engine's bytes in the given pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces
        self.waited = Waited()
        self.left_out = 0
        self.lowered = {}

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces

    def close(self) -> None:
        """Nothing is held."""


WORD = b'data: {"choices":[{"index":0,"delta":{"content":"hi {\\"error\\": 1}"}}],"error":null}\n\n'
SECRET = b'data: {"error":{"code":500,"message":"/srv/secret.gguf: slot 3","type":"server_error"}}\n\n'


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (SECRET, "HK-MOD-003"),
        (SECRET.rstrip(), "HK-MOD-003"),
        (b'data: {"error":"secret"}\n\n', "HK-MOD-003"),
        (b'data: {"error":{"secret\n\n', "HK-MOD-003"),
        (b'data: {"error":{"message":"secret","type":"exceed_context_size_error","n_ctx":5}}\n\n', "HK-MOD-005"),
    ],
)
def test_an_engines_error_in_a_stream_is_told_in_our_words(
    bob: Person, monkeypatch: pytest.MonkeyPatch, frame: bytes, code: str, size: int
) -> None:
    before = b'data: {"error":null,"choices":[]}\n\n' + WORD + b": ping\n\n"
    whole = before + frame
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    monkeypatch.setattr(Gateway, "open", lambda *_args, **_more: Broken(*pieces))
    text = chat(bob, stream=True).get_data()
    assert b"secret" not in text
    assert text.startswith(before + b"data: ")
    last = json.loads(text.strip().split(b"\n\n")[-1].removeprefix(b"data: "))
    assert last["error"]["hako_code"] == code
    assert code in last["error"]["message"]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_engines_bytes_are_passed_on_as_they_are(bob: Person, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    whole = WORD * 3 + b": ping\n\n" + b"data: [DONE]\n\n" + b"no line"
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    monkeypatch.setattr(Gateway, "open", lambda *_args, **_more: Broken(*pieces))
    assert chat(bob, stream=True).get_data() == whole


def test_a_base_answers_as_a_model_with_citations(bob: Person, handbook: dict[str, str]) -> None:
    body = {
        "model": "kb:Bob's handbook",
        "messages": [{"role": "user", "content": "夜勤手当は1回につきいくらですか。"}],
    }
    whole = chat(bob, **body).get_json()
    assert whole["citations"][0]["document"] == "handbook.md"
    assert {"n", "document", "page", "start", "end", "quote"} <= whole["citations"][0].keys()
    assert "[1]" in whole["choices"][0]["message"]["content"]
    last = chunks(chat(bob, **body, stream=True))[-1]
    assert last["citations"] == whole["citations"]


def test_a_bases_counts_have_their_details(bob: Person, handbook: dict[str, str]) -> None:
    asked = {
        "model": "kb:Bob's handbook",
        "messages": [{"role": "user", "content": "夜勤手当は1回につきいくらですか。"}],
    }
    whole = chat(bob, **asked).get_json()["usage"]
    streamed = chunks(chat(bob, **asked, stream=True, stream_options={"include_usage": True}))[-1]["usage"]
    for usage in (whole, streamed):
        assert usage["prompt_tokens_details"] == {"cached_tokens": 0}
        assert usage["completion_tokens_details"] == {"reasoning_tokens": 0}


def test_anothers_base_is_no_model(mallory: Person, handbook: dict[str, str]) -> None:
    for name in ("Bob's handbook", handbook["base"]):
        assert chat(mallory, model=f"kb:{name}").status_code == 404


def test_embeddings_are_normalised_in_both_encodings(bob: Person) -> None:
    texts = ["猫が好きです", "I like cats"]
    plain = bob.post("//v1/embeddings", json={"model": "embedder", "input": texts}).get_json()
    packed = bob.post(
        "//v1/embeddings", json={"model": "embedder", "input": texts, "encoding_format": "base64"}
    ).get_json()
    first = np.array(plain["data"][0]["embedding"], np.float32)
    assert np.isclose(np.linalg.norm(first), 1, atol=1e-4)
    assert np.allclose(first, np.frombuffer(base64.b64decode(packed["data"][0]["embedding"]), "<f4"), atol=1e-6)
    assert [item["index"] for item in plain["data"]] == [0, 1]
    assert plain["usage"]["prompt_tokens"] > 0


@pytest.mark.parametrize("given", [[], "", [1, 2, 3], [[1]], None, {"a": 1}])
def test_an_input_that_is_no_text_is_refused(bob: Person, given: Any) -> None:
    answer = bob.post("//v1/embeddings", json={"model": "embedder", "input": given})
    assert answer.status_code == 400
    error = answer.get_json()["error"]
    assert error["param"].startswith("input")
    assert ("check_embedding_ctx_length=False" in error["message"]) == (given in ([1, 2, 3], [[1]]))


def test_dimensions_that_the_model_has_not_are_refused(bob: Person) -> None:
    body = {"model": "embedder", "input": "x", "dimensions": 64}
    assert bob.post("//v1/embeddings", json=body).get_json()["error"]["param"] == "dimensions"
