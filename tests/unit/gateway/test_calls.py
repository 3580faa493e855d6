"""Calls that must come: what an engine is asked for them, and how what it writes is told."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from appliance.closing import Closing
from appliance.errors import BadInputError, ModelFailedError
from appliance.gateway import calls, tool_choice
from appliance.gateway.waited import Waited

Body = dict[str, Any]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
MESSAGES = [{"role": "user", "content": "Warm?"}]


def tool(name: str, parameters: Any = None) -> Body:
    return {"type": "function", "function": {"name": name, "parameters": CITY if parameters is None else parameters}}


def asked(wish: Any, *tools: Body, engine: str = "llama", **more: Any) -> Body:
    body = {"messages": MESSAGES, "tools": list(tools), "tool_choice": wish, **more}
    return calls.for_engine(tool_choice.read(body), body, engine)


def refused(wish: Any, *tools: Body, engine: str = "llama") -> str:
    with pytest.raises(BadInputError) as error:
        asked(wish, *tools, engine=engine)
    return str(error.value.params["field"])


class Engine(Closing):
    """The pieces of an engine's stream, and a connection that has gone."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces
        self.is_closed = False

    def chunks(self, _stopped: Any) -> Iterator[bytes]:
        yield from self._pieces

    def json(self, path: str, body: Body, _stopped: Any) -> Body:
        assert path == "/apply-template"
        return {"prompt": json.dumps(body["tools"]) if self._pieces else "-"}

    def wrote(self, _tokens: int) -> None:
        """As the place at a model is told."""

    def close(self) -> None:
        self.is_closed = True


def event(text: str | None = None, finish: str | None = None, **more: Any) -> bytes:
    delta = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"choices": [choice], **more}).encode() + b"\n\n"


def written(*pieces: bytes) -> list[Body]:
    body = {"tools": [tool("weather")], "tool_choice": "required"}
    engine: Any = Engine(*pieces)
    with calls.stream(tool_choice.read(body), engine, engine, None, Waited(), "talker") as stream:
        lines = b"".join(stream).decode().split("\n\n")
    assert engine.is_closed
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


def told(events: list[Body]) -> tuple[str, str, str]:
    """Name, arguments, and why it ended."""
    deltas = [choice["delta"] for found in events for choice in found.get("choices", ())]
    assert not any(delta.get("content") for delta in deltas)
    parts = [part for delta in deltas for part in delta.get("tool_calls", ())]
    heads = [part for part in parts if "id" in part]
    assert heads == parts[:1]
    assert all(part["index"] == 0 for part in parts)
    arguments = "".join(part["function"]["arguments"] for part in parts)
    (finish,) = {choice["finish_reason"] for found in events for choice in found.get("choices", ())} - {None}
    return heads[0]["function"]["name"] if heads else "", arguments, finish


# -- what is asked


def test_a_choice_of_none_leaves_the_tools_out_however_odd_they_are() -> None:
    for tools in ([tool("f", {"type": "objekt"})], []):
        assert asked("none", *tools, parallel_tool_calls=True, stop=["x"]) == {"messages": MESSAGES, "stop": ["x"]}


def test_tools_that_may_be_called_lose_what_no_grammar_can_say() -> None:
    odd = {"type": "object", "properties": {"a": {"type": "file", "description": "to read"}, "b": True}}
    body = asked("auto", tool("f", odd), {"type": "function", "function": {"name": "bare"}}, parallel_tool_calls=False)
    assert body["tools"][0]["function"]["parameters"]["properties"] == {"a": {"description": "to read"}, "b": {}}
    assert body["tools"][1]["function"] == {"name": "bare"}
    assert (body["tool_choice"], body["parallel_tool_calls"]) == ("auto", False)
    assert odd["properties"]["a"] == {"type": "file", "description": "to read"}  # the client's own was not changed


def test_a_demanded_call_is_a_schema_with_each_tools_own_below() -> None:
    node = {"$ref": "#/$defs/N", "$defs": {"N": {"type": "object", "properties": {"next": {"$ref": "#/$defs/N"}}}}}
    one = {"type": "function", "function": {"name": "tree"}}
    body = asked(one, tool("weather"), tool("tree", node), stop=["\n"], logprobs=True, seed=1)
    schema = body["response_format"]["json_schema"]["schema"]
    assert schema["properties"] == {"name": {"const": "tree"}, "arguments": {"$ref": "#/$defs/1"}}
    assert (schema["required"], schema["additionalProperties"]) == (["name", "arguments"], False)
    moved = schema["$defs"]["1"]
    assert (moved["$ref"], moved["type"]) == ("#/$defs/1/$defs/N", "object")
    assert moved["$defs"]["N"]["properties"]["next"] == {"$ref": "#/$defs/1/$defs/N"}
    assert [known["function"]["name"] for known in body["tools"]] == ["tree"]
    assert (body["tool_choice"], body["seed"]) == ("none", 1)  # the engine's own way would be a second constraint
    assert not {"stop", "logprobs"} & set(body)
    both = asked("required", tool("weather"), tool("clock", {}))["response_format"]["json_schema"]["schema"]
    assert [call["properties"]["name"]["const"] for call in both["anyOf"]] == ["weather", "clock"]
    assert both["$defs"] == {"0": CITY, "1": {"type": "object"}}


@pytest.mark.parametrize(
    "parameters",
    [
        {"type": "objekt"}, {"type": "string"}, {"type": ["string", "null"]}, {"properties": 5},
        {"properties": {"a": {"type": "file"}}}, {"properties": {"a": {"$ref": "#/$defs/none"}}},
    ],
)  # fmt: skip
def test_parameters_that_can_not_be_followed_are_named_where_a_call_must_come(parameters: Body) -> None:
    assert refused("required", tool("a"), tool("b", parameters)) == "tools.1.function.parameters"
    named = {"type": "function", "function": {"name": "a"}}
    assert asked(named, tool("a"), tool("b", parameters))["tools"]  # the other one has to be followed


def test_an_engine_that_follows_no_schema_can_not_be_made_to_call() -> None:
    assert refused("required", tool("a"), engine="ctransformers") == "tool_choice"
    assert asked("none", tool("a"), engine="ctransformers") == {"messages": MESSAGES}


def test_the_model_is_told_of_the_tools_in_words_where_its_template_does_not() -> None:
    body = asked("required", tool("weather"))
    shows: Any = Engine(b"shows")
    hides: Any = Engine()
    assert calls.told(body, "llama", shows, None) == body
    words = calls.told(body, "llama", hides, None)
    assert not {"tools", "tool_choice"} & set(words)
    introduction, question = words["messages"]
    assert introduction["role"] == "system"
    assert json.dumps(tool("weather")["function"]) in introduction["content"]
    assert question == MESSAGES[0]
    instructed = [{"role": "system", "content": "Be brief."}, *MESSAGES]
    merged, _ = calls.told({**body, "messages": instructed}, "scripted", hides, None)["messages"]
    assert merged["content"].startswith("Be brief.\n\nAnswer with a call")
    assert instructed[0]["content"] == "Be brief."


def test_a_refusal_of_a_form_that_nobody_asked_for_names_the_tools() -> None:
    for body, field in [
        ({"tools": [tool("a")]}, "tools"),
        ({"tools": [tool("a")], "response_format": {"type": "json_object"}}, "response_format"),
        ({"messages": MESSAGES}, "response_format"),
    ]:
        error = BadInputError("JSON schema", field="response_format")
        calls.blame(error, body)
        assert error.params["field"] == field


# -- what is told


@pytest.mark.parametrize(
    ("text", "name", "arguments"),
    [
        ('{"name":"weather","arguments":{"city":"東京"}}', "weather", '{"city":"東京"}'),
        ('{\n "name"\n:\n"weather",\n"arguments" : \n{"a": {"b": {}}}\n}\n', "weather", '{"a": {"b": {}}}'),
        (' { "name": "a\\"b }", "arguments": {"c": "} }  }"} } ', 'a"b }', '{"c": "} }  }"}'),
        ('{"name":"weather","arguments":{}}', "weather", "{}"),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_what_is_written_is_told_as_a_call_however_it_is_cut_into_pieces(
    text: str, name: str, arguments: str, size: int
) -> None:
    pieces = [event(text[start : start + size]) for start in range(0, len(text), size)]
    events = written(event(None), *pieces, event(None, "stop"), b"data: [DONE]\n\n")
    assert told(events) == (name, arguments, "tool_calls")
    assert len(events) == len(pieces) + 2  # each with the counts that it may carry


def test_arguments_come_while_they_are_written() -> None:
    pieces = ['{"name": "weather", ', '"arguments": {"city"', ': "Tokyo, ', 'Minato"', "}}"]
    events = written(*map(event, pieces), event(None, "stop"))
    parts = [found["choices"][0]["delta"].get("tool_calls") for found in events]
    assert [part[0]["function"]["arguments"] if part else None for part in parts] == [
        None, '{"city"', ': "Tokyo,', ' Minato"', None, "}",
    ]  # fmt: skip


def test_bytes_that_are_cut_anywhere_and_what_is_no_text_of_the_call_go_on() -> None:
    head = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":null},"finish_reason":null}]}\n\n'
    thought = b'data: {"choices":[{"index":0,"delta":{"reasoning_content":"hm"},"finish_reason":null}]}\n\n'
    usage = b'data: {"choices":[],"usage":{"completion_tokens":7}}\n\n'
    text = event('{"name":"weather","arguments":{}}', timings={"predicted_n": 1})
    whole = b": ping\n\n" + head + thought + text + event(None, "stop") + usage + b"data: [DONE]\n\n"
    events = written(*(whole[start : start + 7] for start in range(0, len(whole), 7)))
    assert told(events) == ("weather", "{}", "tool_calls")
    assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": None}
    assert events[1]["choices"][0]["delta"] == {"reasoning_content": "hm"}
    assert events[2]["timings"] == {"predicted_n": 1}
    assert events[-1]["usage"] == {"completion_tokens": 7}
    body = {"tools": [tool("weather")], "tool_choice": "required"}
    engine: Any = Engine(b": ping\n\n", b"data: [DONE]\n\n")
    silent = calls.stream(tool_choice.read(body), engine, engine, None, Waited(), "talker")
    assert list(silent) == [b": ping\n\n", b"data: [DONE]\n\n"]


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ('{"name":"wea', ("", "", "length")),
        ('{"name":"weather","arguments":{"city":"To', ("weather", '{"city":"To', "length")),
        ('{"name":"weather","arguments":{"city":{} ', ("weather", '{"city":{}', "length")),
        ('{"name":"weather","arguments":{"city":"x"}', ("weather", '{"city":"x"}', "length")),
        ('{"name":"weather","arguments":{"city":"x"}}', ("weather", '{"city":"x"}', "tool_calls")),
    ],
)
def test_a_call_that_its_length_cut_is_told_as_far_as_it_came(text: str, call: tuple[str, str, str]) -> None:
    assert told(written(event(text), event(None, "length"))) == call


@pytest.mark.parametrize(
    "text", ["", "It is warm.", '{"name":"weather"}', '{"name":"weather","arguments":{"a":}}',
             '{"name":"weather","arguments":5}', '{"name":"weather","arguments":{}'],
)  # fmt: skip
def test_an_engine_that_writes_no_call_has_failed(text: str) -> None:
    with pytest.raises(ModelFailedError):
        written(event(text), event(None, "stop"))


@pytest.mark.parametrize("line", [b"data: {\n\n", b"data: 5\n\n", b'data: {"choices":[{}]}\n\n'])
def test_what_is_no_chunk_is_a_failed_model(line: bytes) -> None:
    with pytest.raises(ModelFailedError):
        written(line)


def test_an_error_in_the_middle_goes_on_as_it_is() -> None:
    line = b'data: {"error":{"message":"boom","type":"server_error"}}\n\n'
    assert written(event('{"name'), line)[-1] == {"error": {"message": "boom", "type": "server_error"}}
