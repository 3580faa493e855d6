"""Calls that `tool_choice` demands, in every dialect that has it: whole and streamed, and what can't be demanded."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.simulators.box import Person, TestBox

Body = dict[str, Any]
Ask = Callable[..., Any]

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
SUM = {
    "type": "object",
    "properties": {"numbers": {"type": "array", "items": {"type": "integer"}, "minItems": 2}},
    "required": ["numbers"],
}
SCHEMAS = {"weather": CITY, "sum": SUM}
ARGUMENTS = {"weather": {"city": "Is it warm?"}, "sum": {"numbers": [0, 0]}}
"""What the scripted model makes of them."""
ODD = {"type": "object", "properties": {"path": {"type": "file"}}}
CHAT_TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": schema, "strict": True}}
    for name, schema in SCHEMAS.items()
]
FLAT_TOOLS = [{"type": "function", "name": name, "parameters": schema} for name, schema in SCHEMAS.items()]
ANTHROPIC_TOOLS = [{"name": name, "input_schema": schema} for name, schema in SCHEMAS.items()]
QUESTION = [{"role": "user", "content": "Is it warm?"}]
NAMED = {"type": "function", "function": {"name": "sum"}}
PATHS = ("//v1/chat/completions", "//api/v0/chat/completions")


def chat(person: Person, path: str = PATHS[0], **body: Any) -> Any:
    return person.post(path, json={"model": "talker", "messages": QUESTION, "tools": CHAT_TOOLS} | body)


def respond(person: Person, **body: Any) -> Any:
    default = {"model": "talker", "input": "Is it warm?", "tools": FLAT_TOOLS, "store": False}
    return person.post("//v1/responses", json=default | body)


def message(person: Person, **body: Any) -> Any:
    default = {"model": "talker", "messages": QUESTION, "tools": ANTHROPIC_TOOLS, "max_tokens": 200}
    return person.post("//v1/messages", json=default | body)


def events(answer: Any) -> list[Body]:
    """The objects of a stream."""
    lines = answer.get_data(as_text=True).splitlines()
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


def allowed(mode: str, *names: str) -> Body:
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


# -- OpenAI's chats, and LM Studio's


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("wish", "name"), [("required", "weather"), (NAMED, "sum"), (allowed("required", "sum"), "sum")]
)
def test_a_chat_answers_with_the_call(bob: Person, path: str, wish: Any, name: str) -> None:
    answer = chat(bob, path, tool_choice=wish).get_json()
    (choice,) = answer["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert (choice["message"]["content"], choice["message"]["role"]) == (None, "assistant")
    (call,) = choice["message"]["tool_calls"]
    assert call["id"].startswith("call_")
    assert (call["type"], call["function"]["name"]) == ("function", name)
    assert json.loads(call["function"]["arguments"]) == ARGUMENTS[name]
    assert answer["usage"]["completion_tokens"] > 3
    assert path == PATHS[0] or answer["stats"]["stop_reason"] == "toolCalls"


@pytest.mark.parametrize("path", PATHS)
def test_a_chats_call_comes_piece_by_piece(bob: Person, path: str) -> None:
    found = events(chat(bob, path, tool_choice=NAMED, stream=True, stream_options={"include_usage": True}))
    choices = [choice for event in found for choice in event["choices"]]
    assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == ["tool_calls"]
    assert not any(choice["delta"].get("content") for choice in choices)
    parts = [part for choice in choices for part in choice["delta"].get("tool_calls", ())]
    head, *others = parts
    assert (head["index"], head["type"], head["function"]["name"]) == (0, "function", "sum")
    assert others
    assert all("id" not in part and "name" not in part["function"] for part in others)
    assert json.loads("".join(part["function"]["arguments"] for part in parts)) == ARGUMENTS["sum"]
    assert found[-1]["usage"]["completion_tokens"] > 3


def test_stop_words_do_not_cut_a_call_and_a_form_of_words_does_not_forbid_it(bob: Person) -> None:
    more = {"stop": ["warm", ":"], "logprobs": True, "response_format": {"type": "json_object"}}
    (choice,) = chat(bob, tool_choice="required", **more).get_json()["choices"]
    assert json.loads(choice["message"]["tool_calls"][0]["function"]["arguments"]) == ARGUMENTS["weather"]
    assert choice["logprobs"] is None


def test_a_call_that_its_length_cuts_is_half_a_call(bob: Person) -> None:
    (choice,) = chat(bob, tool_choice="required", max_tokens=5).get_json()["choices"]
    assert choice["finish_reason"] == "length"
    (call,) = choice["message"]["tool_calls"]
    assert ARGUMENTS["weather"] == json.loads(call["function"]["arguments"] + ' it warm?"}')


def test_the_conversation_before_may_hold_calls(bob: Person) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Tokyo"}'}}
    turns = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "21"},
    ]
    answer = chat(bob, messages=[*QUESTION, *turns, *QUESTION], tool_choice=NAMED).get_json()
    assert answer["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "sum"


def test_a_choice_that_demands_nothing_leaves_words(bob: Person) -> None:
    for wish in (None, "auto", "none", allowed("auto", "sum"), allowed("auto")):
        (choice,) = chat(bob, tool_choice=wish).get_json()["choices"]
        assert (choice["message"]["content"], choice["finish_reason"]) == ("Is it warm?", "stop")


def test_a_model_that_writes_no_call_has_failed(bob: Person) -> None:
    words = [{"role": "user", "content": "[[say It is warm.]]"}]
    answer = chat(bob, messages=words, tool_choice="required")
    assert (answer.status_code, answer.get_json()["error"]["hako_code"]) == (502, "HK-MOD-003")
    last = events(chat(bob, messages=words, tool_choice="required", stream=True))[-1]
    assert last["error"]["hako_code"] == "HK-MOD-003"


def test_a_child_that_dies_in_a_call_becomes_an_error_event(bob: Person, box: TestBox) -> None:
    dying = [{"role": "user", "content": "[[die 4]] [[delay 30]] [[words 9]]"}]
    for answer in (
        chat(bob, messages=dying, tool_choice="required", stream=True),
        message(bob, messages=dying, tool_choice={"type": "any"}, stream=True),
    ):
        assert events(answer)[-1]["error"]["hako_code"] == "HK-MOD-003"
        box.services.gateway.load("talker")  # else the deaths of several tests would add up to a quarantine


# -- OpenAI's responses


@pytest.mark.parametrize(
    ("wish", "name"),
    [
        ("required", "weather"),
        ({"type": "function", "name": "sum"}, "sum"),
        ({"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "sum"}]}, "sum"),
    ],
)
def test_a_response_is_the_call_whole_and_streamed(bob: Person, wish: Any, name: str) -> None:
    answer = respond(bob, tool_choice=wish).get_json()
    (item,) = answer["output"]
    assert (item["type"], item["name"], item["status"]) == ("function_call", name, "completed")
    assert json.loads(item["arguments"]) == ARGUMENTS[name]
    assert (answer["status"], answer["tool_choice"], len(answer["tools"])) == ("completed", wish, 2)
    found = events(respond(bob, tool_choice=wish, stream=True))
    deltas = [event["delta"] for event in found if event["type"] == "response.function_call_arguments.delta"]
    assert len(deltas) > 1
    assert "".join(deltas) == found[-1]["response"]["output"][0]["arguments"] == item["arguments"]


# -- Anthropic's messages


@pytest.mark.parametrize(
    ("wish", "name"),
    [
        ({"type": "any"}, "weather"),
        ({"type": "any", "disable_parallel_tool_use": True}, "weather"),
        ({"type": "tool", "name": "sum"}, "sum"),
    ],
)
def test_a_message_is_the_call_whole_and_streamed(bob: Person, wish: Body, name: str) -> None:
    answer = message(bob, tool_choice=wish).get_json()
    (block,) = answer["content"]
    assert (block["type"], block["name"], block["input"]) == ("tool_use", name, ARGUMENTS[name])
    assert answer["stop_reason"] == "tool_use"
    found = events(message(bob, tool_choice=wish, stream=True, stop_sequences=["warm"]))
    start = next(event for event in found if event["type"] == "content_block_start")
    assert (start["content_block"]["name"], start["content_block"]["input"]) == (name, {})
    pieces = [event["delta"]["partial_json"] for event in found if event["type"] == "content_block_delta"]
    assert len(pieces) > 1
    assert json.loads("".join(pieces)) == ARGUMENTS[name]
    assert found[-2]["delta"]["stop_reason"] == "tool_use"


def test_what_is_demanded_counts_as_it_is_read(bob: Person) -> None:
    def counted(**body: Any) -> int:
        default = {"model": "talker", "messages": QUESTION, "tools": ANTHROPIC_TOOLS}
        return int(bob.post("//v1/messages/count_tokens", json=default | body).get_json()["input_tokens"])

    for wish in ({"type": "any"}, {"type": "tool", "name": "sum"}, {"type": "none"}):
        assert counted(tool_choice=wish) == message(bob, tool_choice=wish).get_json()["usage"]["input_tokens"]
    assert counted(tool_choice={"type": "any"}) > counted(tool_choice={"type": "tool", "name": "sum"}) > counted()


# -- what can't be demanded


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"tool_choice": "required", "tools": []}, "tool_choice"),
        ({"tool_choice": "required", "tools": None}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "rain"}}}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice"),
        ({"tool_choice": {"type": "custom", "custom": {"name": "sum"}}}, "tool_choice"),
        ({"tool_choice": "always"}, "tool_choice"),
        ({"tool_choice": allowed("required", "sum", "rain")}, "tool_choice"),
        ({"tool_choice": allowed("required")}, "tool_choice"),
        ({"tool_choice": "required", "tools": [
            CHAT_TOOLS[0], {"type": "function", "function": {"name": "odd", "parameters": ODD}}]},
         "tools.1.function.parameters"),
    ],
)  # fmt: skip
def test_what_a_chat_can_not_demand_is_named(bob: Person, body: Body, field: str) -> None:
    for path in PATHS:
        for stream in (False, True):
            answer = chat(bob, path, stream=stream, **body)
            assert (answer.status_code, answer.get_json()["error"]["param"]) == (400, field)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"tool_choice": "required", "tools": []}, "tool_choice"),
        ({"tool_choice": {"type": "function", "name": "rain"}}, "tool_choice"),
        ({"tool_choice": {"type": "web_search_preview"}}, "tool_choice"),
        ({"tool_choice": "required", "tools": [{"type": "function", "name": "odd", "parameters": ODD}]},
         "tools.0.parameters"),
    ],
)  # fmt: skip
def test_what_a_response_can_not_demand_is_named(bob: Person, body: Body, field: str) -> None:
    answer = respond(bob, **body)
    assert (answer.status_code, answer.get_json()["error"]["param"]) == (400, field)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"tool_choice": {"type": "any"}, "tools": None}, "tool_choice"),
        ({"tool_choice": {"type": "tool", "name": "rain"}}, "tool_choice"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice"),
        ({"tool_choice": {"type": "any"}, "tools": [{"name": "odd", "input_schema": ODD}]}, "tools.0.input_schema"),
    ],
)
def test_what_a_message_can_not_demand_is_named(bob: Person, body: Body, field: str) -> None:
    answer = message(bob, **body)
    assert answer.status_code == 400
    assert f"“{field}”" in answer.get_json()["error"]["message"]


def test_odd_parameters_disturb_nobody_who_demands_no_call(bob: Person) -> None:
    odd = [{"type": "function", "function": {"name": "odd", "parameters": ODD}}]
    for wish in ("auto", "none"):
        assert chat(bob, tools=odd, tool_choice=wish).status_code == 200
    ollama = {"model": "talker", "messages": QUESTION, "tools": odd, "stream": False}
    assert bob.post("//api/chat", json=ollama).get_json()["message"]["content"] == "Is it warm?"
    unnamed = bob.post("//api/chat", json=ollama | {"tools": [{"function": {}}]})
    assert unnamed.status_code == 400
    assert "“tools.0.function.name”" in unnamed.get_json()["error"]


def test_a_base_calls_nothing(bob: Person, handbook: dict[str, str]) -> None:
    base = {"model": "kb:Bob's handbook"}
    for path in PATHS:
        assert chat(bob, path, **base, tool_choice="required").get_json()["error"]["param"] == "tool_choice"
    assert respond(bob, **base, tool_choice="required").get_json()["error"]["param"] == "tool_choice"
    refused = message(bob, **base, tool_choice={"type": "any"})
    assert "“tool_choice”" in refused.get_json()["error"]["message"]
    assert chat(bob, **base, tool_choice="auto").status_code == 200
