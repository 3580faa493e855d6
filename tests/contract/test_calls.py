"""Calls that must come, from real engines in real children: what llama.cpp does not hold to by itself."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import BadInputError, ModelFailedError
from appliance.gateway import calls, schemas, tool_choice
from appliance.gateway.stream import RawStream
from appliance.gateway.waited import Waited
from appliance.inference.client import Place
from appliance.inference.spawn import Child
from tests.contract.test_engines import Running, events, is_idle, predicted, running, specify, text_of
from tests.simulators.waiting import eventually
from tests.unit.gateway.test_schemas import READABLE

SHOWS = (
    "{% for tool in tools or [] %}<|im_start|>system\n{{ tool | tojson }}<|im_end|>\n{% endfor %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    '{% for c in m.tool_calls or [] %}<tool_call>\n{"name": "{{ c.function.name }}", "arguments": '
    "{{ c.function.arguments | tojson }}}\n</tool_call>{% endfor %}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)
"""A template that tells of tools and of calls; the starter model's own does not."""
LONG = {"type": "object", "properties": {"story": {"type": "string", "minLength": 1500}}, "required": ["story"]}
ODD = [
    {"type": "objekt"},
    {"type": "object", "properties": 5},
    {"type": "object", "properties": {"a": {"type": "file"}, "b": {"$ref": "#/$defs/none"}, "c": True}},
    {"type": "object", "properties": {"a": {"enum": []}, "b": {"anyOf": []}, "c": {"type": "string", "minLength": -1}}},
    {"type": "object", "properties": {"a": {"type": "string", "minLength": 5000}}},
    {"type": "object", "properties": {"a": {"type": "array", "items": 5, "minItems": 5000}}},
    {"type": "object", "properties": {"a": {"type": "integer", "minimum": "x", "exclusiveMaximum": True}}},
    {"type": "object", "properties": {"a": {"format": 5}}, "additionalProperties": 5},
]
"""Parameters that llama.cpp makes no grammar of."""


def function(name: str, parameters: Any, description: str = "") -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


WEATHER = function(
    "get_weather",
    {
        "type": "object",
        "properties": {"city": {"$ref": "#/$defs/City"}, "days": {"type": "integer", "minimum": 1, "maximum": 7}},
        "required": ["city", "days"],
        "additionalProperties": False,
        "$defs": {"City": {"type": "string", "enum": ["Tokyo", "Osaka", "Paris"]}},
    },
    "The weather in a city",
)
ADD = function(
    "add",
    {
        "type": "object",
        "properties": {"numbers": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 3}},
        "required": ["numbers"],
        "additionalProperties": False,
    },
    "Adds numbers",
)


class _NoLease(Place):
    def close(self) -> None:
        """There is one caller only."""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("scripted", ""), id="scripted"),
        pytest.param(("llama", ""), id="llama", marks=pytest.mark.models),
        pytest.param(("llama", SHOWS), id="llama-that-shows-tools", marks=pytest.mark.models),
    ],
)
def engine(request: pytest.FixtureRequest) -> Iterator[Running]:
    name, template = request.param
    with tempfile.TemporaryDirectory(prefix="hako-") as around:
        spec = specify(name, "chat", Path(around), template=template, context=1024)
        with running(spec) as child:
            yield child


@contextmanager
def asked(engine: Running, text: str, wish: Any, *tools: dict[str, Any], **more: Any) -> Iterator[RawStream]:
    """An answer that has begun, as the gateway asks for it."""
    told = engine.chat_body(text, tools=list(tools), tool_choice=wish, **more)
    choice = tool_choice.read(told)
    body = calls.for_engine(choice, schemas.harmless(told), engine.spec.engine)
    with engine.connect() as connection:
        if choice.mode == "required":
            body = calls.told(body, engine.spec.engine, connection, None)
        connection.send("/v1/chat/completions", body)
        connection.begin()
        with calls.stream(choice, _NoLease(), connection, None, Waited(), engine.spec.model) as stream:
            yield stream


def call(engine: Running, text: str, wish: Any, *tools: dict[str, Any]) -> tuple[str, Any]:
    """The name and the arguments of the only call of a whole answer."""
    with asked(engine, text, wish, *tools, max_tokens=160) as stream:
        found = events(b"".join(stream))
    assert not text_of(found)
    choices = [choice for event in found for choice in event.get("choices", ())]
    parts = [part for choice in choices for part in choice["delta"].get("tool_calls", ())]
    assert {choice["finish_reason"] for choice in choices} == {None, "tool_calls"}
    assert [part["type"] for part in parts if "id" in part] == ["function"]
    assert len(parts) > 1  # it comes while it is written
    arguments = "".join(part["function"]["arguments"] for part in parts)
    return parts[0]["function"]["name"], json.loads(arguments)


def assert_of_weather(arguments: Any) -> None:
    assert arguments.keys() == {"city", "days"}
    assert arguments["city"] in ("Tokyo", "Osaka", "Paris")
    assert type(arguments["days"]) is int
    assert 1 <= arguments["days"] <= 7


def assert_of_add(arguments: Any) -> None:
    assert arguments.keys() == {"numbers"}
    assert 2 <= len(arguments["numbers"]) <= 3
    assert {type(number) for number in arguments["numbers"]} == {int}


@pytest.mark.parametrize("question", ["How is the weather in Osaka?", "東京について教えて"])
def test_a_named_function_is_called_with_arguments_of_its_schema(engine: Running, question: str) -> None:
    for named, check in ((WEATHER, assert_of_weather), (ADD, assert_of_add)):
        wish = {"type": "function", "function": {"name": named["function"]["name"]}}
        name, arguments = call(engine, question, wish, WEATHER, ADD)
        assert name == named["function"]["name"]
        check(arguments)


def test_one_of_the_functions_is_called_where_a_call_is_required(engine: Running) -> None:
    name, arguments = call(engine, "What is 3 plus 4?", "required", WEATHER, ADD)
    {"get_weather": assert_of_weather, "add": assert_of_add}[name](arguments)
    free = function("anything", {"type": "object", "properties": {}})
    assert call(engine, "Do it.", "required", free)[0] == "anything"


def test_a_call_that_its_length_cuts_says_so(engine: Running) -> None:
    with asked(engine, "Tell me a story.", "required", function("tell", LONG), max_tokens=30) as stream:
        found = events(b"".join(stream))
    finishes = {choice["finish_reason"] for event in found for choice in event["choices"]}
    assert finishes == {None, "length"} or engine.is_scripted  # whose words are no tokens


def test_closing_a_call_stops_the_engine(engine: Running) -> None:
    before = predicted(engine)
    with asked(engine, "[[delay 20]] Tell a story.", "required", function("tell", LONG), max_tokens=800) as stream:
        chunks = iter(stream)
        for _ in range(3):
            next(chunks)
    assert eventually(lambda: is_idle(engine))
    assert not engine.has_metrics or predicted(engine) - before < 400
    assert call(engine, "How is the weather in Osaka?", "required", WEATHER)[0] == "get_weather"


def test_an_engine_that_dies_in_a_call_is_a_failed_model(engine: Running) -> None:
    with tempfile.TemporaryDirectory(prefix="hako-") as around:
        spec = specify(engine.spec.engine, "chat", Path(around), template=engine.spec.template, context=1024)
        child = Child(spec, lambda _child: None)
        try:
            mortal = Running(spec, child.wait_ready())
            tool = function("tell", LONG)
            with asked(mortal, "[[delay 100]] Tell a story.", "required", tool, max_tokens=800) as stream:
                chunks = iter(stream)
                next(chunks)
                child.kill()
                with pytest.raises(ModelFailedError):
                    list(chunks)
        finally:
            child.stop()


@pytest.mark.parametrize("parameters", ODD)
def test_odd_parameters_disturb_nobody_who_demands_no_call(engine: Running, parameters: Any) -> None:
    for wish in ("auto", "none"):
        with asked(engine, "Say hello.", wish, function("odd", parameters), max_tokens=4) as stream:
            assert events(b"".join(stream))
    with pytest.raises(BadInputError) as refused, asked(engine, "x", "required", WEATHER, function("odd", parameters)):
        pass
    assert refused.value.params == {"field": "tools.1.function.parameters"}


def test_what_is_left_out_as_unreadable_is_what_the_engine_does_not_read(engine: Running) -> None:
    if engine.is_scripted or engine.spec.template:
        pytest.skip("one that makes grammars is enough")

    def follows(schema: Any) -> bool:
        form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        try:
            engine.chat("x", response_format=form, max_tokens=1)
        except BadInputError:
            return False
        return True

    for schema in ODD:
        assert not follows(schema), schema
    assert follows({"anyOf": [schemas.readable(schema)[0] for schema in ODD]})
    leading = [schema for schema in READABLE if "$ref" in json.dumps(schema)]  # into itself, so each has to be alone
    assert all(map(follows, leading))
    assert follows({"anyOf": [schema for schema in READABLE if schema not in leading]})
