"""The Anthropic dialect: messages whole and streamed, refusals, counts, models, and a base as a model."""

import json
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import BusyError, HakoError, ModelFailedError, SealedError, TooManyTriesError
from tests.simulators.box import Person, TestBox
from webui.dialects import anthropic_errors
from webui.dialects.anthropic_answer import Translation
from webui.dialects.anthropic_request import PromptBody
from webui.dialects.stops import Stops

Body = dict[str, Any]
VERSION = {"anthropic-version": "2023-06-01"}
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}
TOOL = {"name": "weather", "description": "of a city", "input_schema": {"type": "object"}}
QUESTION = "夜勤手当は1回につきいくらですか。"


def ask(person: Person, **body: Any) -> Any:
    default = {"model": "talker", "max_tokens": 50, "messages": [{"role": "user", "content": "[[words 4]] hi"}]}
    return person.post("//v1/messages", json=default | body, headers=VERSION)


def events(answer: Any) -> list[Body]:
    found = []
    for part in answer.get_data(as_text=True).strip().split("\n\n"):
        if not part.startswith(":"):
            kind, data = part.split("\n")
            found.append(json.loads(data.removeprefix("data: ")))
            assert found[-1]["type"] == kind.removeprefix("event: ")
    return found


def translated(*chunks: Body, stops: tuple[str, ...] = ()) -> tuple[list[Body], Body]:
    translation = Translation("talker", stops)
    return [dict(event.data) for event in translation.events(iter(chunks))], translation.message


def delta(finish: str | None = None, **content: Any) -> Body:
    return {"choices": [{"index": 0, "delta": content, "finish_reason": finish}]}


# -- messages


@pytest.mark.parametrize(
    "source",
    [
        {"type": "text", "media_type": "text/plain", "data": "It rains."},
        {"type": "content", "content": "It rains."},
        {"type": "content", "content": [{"type": "text", "text": "It rains."}]},
    ],
)
def test_a_document_is_read_with_its_title(bob: Person, source: Body) -> None:
    block = {"type": "document", "title": "Weather", "context": "Of today.", "source": source}
    content = [block, {"type": "text", "text": "What now?"}]
    body = PromptBody.model_validate({"model": "talker", "messages": [{"role": "user", "content": content}]})
    assert body.as_engine()["messages"][0]["content"] == "Weather\n\nOf today.\n\nIt rains.\nWhat now?"
    said = ask(bob, messages=[{"role": "user", "content": content}]).get_json()["content"][0]["text"]
    assert "It rains." in said


@pytest.mark.parametrize("kind", ["base64", "url", "file"])
def test_a_document_that_is_a_file_is_refused_with_its_own_sentence(bob: Person, kind: str) -> None:
    source = {"type": kind, "media_type": "application/pdf", "data": "JVBERi0="}
    answer = ask(bob, messages=[{"role": "user", "content": [{"type": "document", "source": source}]}])
    error = answer.get_json()["error"]
    assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
    assert "HK-MOD-064" in error["message"]


@pytest.mark.parametrize("source", [None, {"type": "text"}, {"type": "content", "content": ["x"]}, {"type": "pdf"}])
def test_a_broken_document_is_a_bad_request(bob: Person, source: Any) -> None:
    answer = ask(bob, messages=[{"role": "user", "content": [{"type": "document", "source": source}]}])
    assert answer.status_code == 400
    assert "HK-BOX-003" in answer.get_json()["error"]["message"]


def test_a_model_is_told_that_a_tool_failed() -> None:
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "no such city"}]}
    for is_error, told in ((True, "The tool failed and said:\nno such city"), (False, "no such city")):
        message = {"role": "user", "content": [{**result, "is_error": is_error}]}
        body = PromptBody.model_validate({"model": "talker", "messages": [message]})
        assert body.as_engine()["messages"][0]["content"] == told


def test_a_whole_message_has_the_shape(bob: Person) -> None:
    answer = ask(bob)
    message = answer.get_json()
    assert message.pop("id").startswith("msg_")
    tokens = message["usage"].pop("input_tokens")
    assert tokens > 0
    assert message == {
        "type": "message",
        "role": "assistant",
        "model": "talker",
        "content": [{"type": "text", "text": "word0 word1 word2 word3"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"output_tokens": 4, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0},
    }
    assert answer.headers["request-id"]


def test_a_stream_has_its_events_in_order_and_adds_up_to_the_whole(bob: Person) -> None:
    found = events(ask(bob, stream=True))
    kinds = [event["type"] for event in found]
    assert kinds == [
        "message_start", "content_block_start", "ping", *["content_block_delta"] * 4,
        "content_block_stop", "message_delta", "message_stop",
    ]  # fmt: skip
    start, block, end = found[0]["message"], found[1], found[-2]
    assert (start["content"], start["stop_reason"], start["usage"]["output_tokens"]) == ([], None, 0)
    assert (block["index"], block["content_block"]) == (0, {"type": "text", "text": ""})
    text = "".join(event["delta"]["text"] for event in found if event["type"] == "content_block_delta")
    assert text == "word0 word1 word2 word3"
    assert end["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert end["usage"]["output_tokens"] == 4
    assert (
        start["usage"]["input_tokens"] == end["usage"]["input_tokens"] == ask(bob).get_json()["usage"]["input_tokens"]
    )


def test_a_length_cut_is_told(bob: Person) -> None:
    assert ask(bob, max_tokens=2).get_json()["stop_reason"] == "max_tokens"
    assert events(ask(bob, max_tokens=2, stream=True))[-2]["delta"]["stop_reason"] == "max_tokens"


def test_a_stop_sequence_ends_the_text_and_is_named(bob: Person) -> None:
    body = {"messages": [{"role": "user", "content": "[[words 500]] [[delay 5]] on"}], "max_tokens": 500}
    message = ask(bob, **body, stop_sequences=["never", "2 word3"]).get_json()
    assert message["content"][0]["text"] == "word0 word1 word"
    assert (message["stop_reason"], message["stop_sequence"]) == ("stop_sequence", "2 word3")
    assert message["usage"]["output_tokens"] == 4
    found = events(ask(bob, **body, stop_sequences=["2 word3"], stream=True))
    assert found[-2]["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": "2 word3"}


def test_system_blocks_and_what_clients_send_besides_are_fine(bob: Person) -> None:
    cached = {"type": "text", "text": "Be short.", "cache_control": {"type": "ephemeral"}}
    more = {
        "metadata": {"user_id": "u"},
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "service_tier": "auto",
    }
    blocks = [{"type": "text", "text": "[[words 1]]", "cache_control": {"type": "ephemeral"}}]
    answer = ask(bob, system=[cached, cached], messages=[{"role": "user", "content": blocks}], top_k=5, **more)
    assert answer.get_json()["content"][0]["text"] == "word0"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "assistant", "content": [PICTURE]}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "document", "source": {}}]}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": 5}]}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [5]}]}]},
         "messages"),
        ({"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "n"}]}]}, "messages"),
        ({"system": [PICTURE]}, "system"),
        ({"temperature": -1}, "temperature"),
        ({"stop_sequences": [""]}, "stop_sequences.0"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools.0.type"),
        ({"mcp_servers": [{"type": "url"}]}, "mcp_servers"),
        ({"output_config": {"format": {"type": "yaml"}}}, "output_config"),
    ],
)  # fmt: skip
def test_bad_requests_name_the_field(bob: Person, body: Body, field: str) -> None:
    answer = ask(bob, **body)
    found = answer.get_json()
    assert (answer.status_code, found["type"], found["error"]["type"]) == (400, "error", "invalid_request_error")
    assert field in found["error"]["message"]


def test_every_error_of_these_paths_has_anthropics_shape(bob: Person, box: TestBox) -> None:
    stranger = box.app.test_client()
    ours = {"x-api-key": "hako_wrong", **VERSION}
    big = b"[" + b" " * (33 << 20)
    for answer, status, kind in [
        (stranger.post("/v1/messages", json={}, headers=ours), 401, "authentication_error"),
        (stranger.post("/v1/messages", json={}, headers={"Authorization": "Bearer no"}), 401, "authentication_error"),
        (stranger.get("/v1/models", headers=ours), 401, "authentication_error"),
        (bob.post("//v1/messages", json={}, headers={"Sec-Fetch-Site": "cross-site"}), 403, "permission_error"),
        (bob.get("//v1/messages/batches"), 404, "not_found_error"),
        (bob.delete("//v1/messages"), 405, "invalid_request_error"),
        (bob.post("//v1/messages", data=big, content_type="application/json"), 413, "request_too_large"),
        (ask(bob, model="claude-9"), 404, "not_found_error"),
        (ask(bob, model="embedder"), 400, "invalid_request_error"),
        (bob.get("//v1/models/claude-9", headers=VERSION), 404, "not_found_error"),
    ]:
        found = answer.get_json()
        assert (answer.status_code, found["type"], found["error"]["type"]) == (status, "error", kind)
        assert found["error"]["hako_code"] in found["error"]["message"]
        assert found["request_id"]
    assert "param" in stranger.get("/v1/models", headers={"X-Api-Key": "no"}).get_json()["error"]  # OpenAI's as before


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (SealedError(), "api_error"),
        (BusyError(retry_after_s=5), "overloaded_error"),
        (TooManyTriesError(retry_after_s=5), "rate_limit_error"),
        (ModelFailedError(name="x"), "api_error"),
    ],
)
def test_what_is_not_the_requests_fault_has_a_type_of_its_own(error: HakoError, kind: str) -> None:
    assert anthropic_errors.body(error, error.status, "en")["error"]["type"] == kind


def test_a_sealed_box_says_so_in_anthropics_shape(tmp_path: Path) -> None:
    sealed = TestBox(tmp_path)
    sealed.seal()
    try:
        answer = sealed.app.test_client().post("/v1/messages", json={}, headers=VERSION)
        assert (answer.status_code, answer.get_json()["error"]["hako_code"]) == (423, "HK-VLT-001")
    finally:
        sealed.close()


def test_too_long_a_prompt_has_the_words_that_frameworks_look_for(bob: Person) -> None:
    answer = ask(bob, messages=[{"role": "user", "content": "word " * 6000}])
    assert answer.status_code == 400
    assert "prompt is too long" in answer.get_json()["error"]["message"]


def test_a_child_that_dies_in_a_stream_becomes_an_error_event(bob: Person, box: TestBox) -> None:
    oh = {"messages": [{"role": "user", "content": "[[words 9]] [[die 3]] [[delay 30]] oh"}]}
    last = events(ask(bob, **oh, stream=True))[-1]
    assert (last["type"], last["error"]["type"], last["error"]["hako_code"]) == ("error", "api_error", "HK-MOD-003")
    box.services.gateway.load("talker")  # else the deaths of several tests would add up to a quarantine
    assert ask(bob).status_code == 200


# -- tools; calls that are demanded are in test_forced_calls.py


def test_tools_and_their_results_become_the_engines_messages() -> None:
    body = PromptBody.model_validate(
        {
            "model": "talker",
            "system": "Help.",
            "tools": [TOOL],
            "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
            "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
            "messages": [
                {"role": "user", "content": "Warm?"},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "hm", "signature": "s"},
                        {"type": "text", "text": "I look."},
                        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "東京"}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "And tomorrow?"},
                        {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "21"}]},
                        {"type": "tool_result", "tool_use_id": "toolu_2"},
                    ],
                },
            ],
        }
    ).as_engine()
    call = {"name": "weather", "arguments": '{"city": "東京"}'}
    assert body["messages"] == [
        {"role": "system", "content": "Help."},
        {"role": "user", "content": "Warm?"},
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [{"id": "toolu_1", "type": "function", "function": call}],
        },
        {"role": "tool", "content": "21", "tool_call_id": "toolu_1"},
        {"role": "tool", "content": "", "tool_call_id": "toolu_2"},
        {"role": "user", "content": "And tomorrow?"},
    ]
    function = {"name": "weather", "description": "of a city", "parameters": {"type": "object"}}
    assert body["tools"] == [{"type": "function", "function": function}]
    assert (body["tool_choice"], body["parallel_tool_calls"]) == ("auto", False)
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}


def test_thoughts_become_a_block_of_their_own_before_the_text() -> None:
    told, message = translated(
        delta(role="assistant", content=None),
        delta(reasoning_content="Hm"),
        delta(reasoning_content=". STOP"),
        delta(content="Yes"),
        delta("stop"),
        stops=("STOP",),
    )
    signature = message["content"][0]["signature"]
    assert signature
    assert [event["type"] for event in told] == [
        "message_start", "content_block_start", "ping", *["content_block_delta"] * 3, "content_block_stop",
        "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop",
    ]  # fmt: skip
    assert told[1]["content_block"] == {"type": "thinking", "thinking": "", "signature": ""}
    assert [event["delta"] for event in told if event["type"] == "content_block_delta"] == [
        {"type": "thinking_delta", "thinking": "Hm"},
        {"type": "thinking_delta", "thinking": ". STOP"},
        {"type": "signature_delta", "signature": signature},
        {"type": "text_delta", "text": "Yes"},
    ]
    assert [event["index"] for event in told if "index" in event] == [0] * 5 + [1] * 3
    assert message["content"] == [
        {"type": "thinking", "thinking": "Hm. STOP", "signature": signature},
        {"type": "text", "text": "Yes"},
    ]
    assert message["stop_reason"] == "end_turn"


def test_thoughts_that_are_cut_are_followed_by_an_empty_text() -> None:
    _, message = translated(delta(reasoning_content="Hm"), delta("length"))
    assert [block["type"] for block in message["content"]] == ["thinking", "text"]
    assert (message["content"][1]["text"], message["stop_reason"]) == ("", "max_tokens")


def test_thoughts_are_taken_back_and_not_shown_to_the_model(bob: Person) -> None:
    before = [
        {"type": "thinking", "thinking": "secret", "signature": "of-nobody"},
        {"type": "redacted_thinking", "data": "AAAA"},
        {"type": "text", "text": "yes"},
    ]
    said = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": before}]
    said.append({"role": "user", "content": "[[words 1]]"})
    assert ask(bob, messages=said).get_json()["content"][0]["text"] == "word0"
    body = PromptBody.model_validate({"model": "talker", "messages": said})
    assert body.as_engine()["messages"][1] == {"role": "assistant", "content": "yes"}


def test_calls_become_blocks_with_their_arguments() -> None:
    def call(index: int, call_id: str, name: str, arguments: str) -> Body:
        return delta(tool_calls=[{"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}])

    told, message = translated(
        delta(role="assistant", content=None),
        delta(content="I look."),
        call(0, "c1", "weather", '{"city":'),
        call(0, "", "", ' "東京"}'),
        call(1, "", "clock", ""),
        delta("tool_calls"),
        {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 7}},
    )
    assert [event["type"] for event in told] == [
        "message_start", "content_block_start", "ping", "content_block_delta", "content_block_stop",
        "content_block_start", "content_block_delta", "content_block_delta", "content_block_stop",
        "content_block_start", "content_block_stop", "message_delta", "message_stop",
    ]  # fmt: skip
    assert told[5] == {
        "type": "content_block_start",
        "index": 1,
        "content_block": {"type": "tool_use", "id": "c1", "name": "weather", "input": {}},
    }
    assert message["content"][1]["input"] == {"city": "東京"}
    assert message["content"][2]["id"].startswith("toolu_")
    assert (message["stop_reason"], message["usage"]["input_tokens"]) == ("tool_use", 9)


def test_a_call_that_was_cut_off_has_no_arguments_and_an_answer_without_a_word_has_one_text() -> None:
    part = {"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a'}}
    _told, message = translated(delta(tool_calls=[part]), delta("length"))
    assert message["content"] == [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]
    assert message["stop_reason"] == "max_tokens"
    told, message = translated(delta("stop"))
    assert message["content"] == [{"type": "text", "text": ""}]
    assert [event["type"] for event in told][:3] == ["message_start", "content_block_start", "ping"]


@pytest.mark.parametrize(
    ("pieces", "stops", "shown", "found"),
    [
        (["one tw", "o three"], ["two"], "one ", "two"),
        (["a", "a", "b", "c"], ["aab"], "", "aab"),
        (["##", "#"], ["##\n"], "###", None),
        (["x END y STOP"], ["STOP", "END"], "x ", "END"),
        (["nothing"], [], "nothing", None),
    ],
)
def test_stop_sequences_are_found_across_pieces(
    pieces: list[str], stops: list[str], shown: str, found: str | None
) -> None:
    watch = Stops(stops)
    assert "".join(watch.feed(piece) for piece in pieces) + watch.rest() == shown
    assert watch.found == found


# -- counts and models


def test_tokens_are_counted_as_they_are_billed(bob: Person) -> None:
    body = {
        "model": "talker",
        "system": "Be short.",
        "messages": [{"role": "user", "content": "[[words 1]] 猫 and dog"}],
    }
    counted = bob.post("//v1/messages/count_tokens", json=body, headers=VERSION).get_json()
    assert counted == {"input_tokens": ask(bob, **body).get_json()["usage"]["input_tokens"]}


def test_models_have_anthropics_shape_for_its_clients(bob: Person, mallory: Person, handbook: dict[str, str]) -> None:
    page = bob.get("//v1/models?limit=1000", headers=VERSION).get_json()
    ids = [model["id"] for model in page["data"]]
    assert {"talker", "kb:Bob's handbook"} <= set(ids)
    assert "embedder" not in ids  # it can't take a message
    assert (page["has_more"], page["first_id"], page["last_id"]) == (False, ids[0], ids[-1])
    one = bob.get("//v1/models/talker", headers=VERSION).get_json()
    assert (one["type"], one["display_name"], one["created_at"]) == ("model", "Scripted chat", "1970-01-01T00:00:00Z")
    assert mallory.get("//v1/models/kb:Bob's handbook", headers=VERSION).status_code == 404


# -- a base as a model


def test_a_base_answers_with_citations_whole_and_streamed(bob: Person, handbook: dict[str, str]) -> None:
    body = {"model": "kb:Bob's handbook", "messages": [{"role": "user", "content": QUESTION}]}
    whole = ask(bob, **body).get_json()
    assert whole["citations"][0]["document"] == "handbook.md"
    assert {"n", "document", "page", "start", "end", "quote"} <= whole["citations"][0].keys()
    assert "[1]" in whole["content"][0]["text"]
    assert (whole["verdict"], whole["stop_reason"]) == ("answer", "end_turn")
    found = events(ask(bob, **body, stream=True))
    assert [event["type"] for event in found][:3] == ["message_start", "content_block_start", "ping"]
    text = "".join(event["delta"]["text"] for event in found if event["type"] == "content_block_delta")
    assert text == whole["content"][0]["text"]
    assert (found[-2]["type"], found[-2]["citations"]) == ("message_delta", whole["citations"])


def test_anothers_base_is_no_model(mallory: Person, handbook: dict[str, str]) -> None:
    for name in ("Bob's handbook", handbook["base"]):
        body = {"model": f"kb:{name}", "messages": [{"role": "user", "content": QUESTION}]}
        assert ask(mallory, **body).status_code == 404
        assert mallory.post("//v1/messages/count_tokens", json=body).status_code == 404


def test_a_base_wants_a_question_and_counts_what_is_known_of_it(bob: Person, handbook: dict[str, str]) -> None:
    base = "kb:Bob's handbook"
    told = {"role": "assistant", "content": "6,000円です。"}
    refused = ask(bob, model=base, messages=[{"role": "user", "content": QUESTION}, told])
    assert (refused.status_code, refused.get_json()["error"]["type"]) == (400, "invalid_request_error")
    body = {"model": base, "messages": [{"role": "user", "content": QUESTION}]}
    assert bob.post("//v1/messages/count_tokens", json=body).get_json()["input_tokens"] > 5
