"""Numbers that no field was made for, in every place of every dialect's body: refused, or without harm."""

import math
from collections.abc import Iterator
from typing import Any

import pytest

from appliance.config import Listener
from tests.simulators.box import Person, TestBox

NUMBERS = [-1, -(2**31) - 1, 2**31, 2**63, -(2**63) - 1, 10**30, 1e308, -1e308, math.inf, math.nan]
WORDS = "[[words 2]] hi"
FUNCTION = {"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {}}}
TOOL = {"type": "function", "function": FUNCTION}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
CALLED = {"function": {"name": "look", "arguments": {"at": "it"}}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 9}}, "required": ["a"]}
SAMPLING = {"temperature": 0.5, "top_p": 0.9, "top_k": 20, "min_p": 0.1, "seed": 1}
PENALTIES = {"presence_penalty": 0.1, "frequency_penalty": 0.1, "repeat_penalty": 1.1}
OPTIONS = {**SAMPLING, **PENALTIES, "num_predict": 9, "num_ctx": 512, "num_thread": 1, "num_gpu": 0, "stop": ["x"]}

BODIES: dict[tuple[Listener, str], dict[str, Any]] = {
    ("main", "/v1/chat/completions"): {
        "model": "talker",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": WORDS}]},
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "call_1", "content": "it"},
        ],
        **SAMPLING, **PENALTIES, "n": 1, "max_tokens": 9, "max_completion_tokens": 9, "logprobs": True,
        "top_logprobs": 2, "logit_bias": {"7": 1}, "stop": ["x"], "stream": False,
        "stream_options": {"include_usage": True}, "tools": [TOOL], "tool_choice": "auto",
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA, "strict": True}},
        "reasoning_effort": "low", "ttl": 60, "user": "u",
    },
    ("main", "/v1/completions"): {
        "model": "talker", "prompt": [WORDS], "max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "stop": ["x"],
        "seed": 1, "n": 1, "best_of": 1, "presence_penalty": 0.1, "frequency_penalty": 0.1, "stream": False,
        "logit_bias": {"7": 1},
    },
    ("main", "/v1/responses"): {
        "model": "talker",
        "input": [{"role": "user", "content": [{"type": "input_text", "text": WORDS}]}],
        "instructions": "Be short.", "max_output_tokens": 20, "temperature": 0.5, "top_p": 0.9, "stream": False,
        "tools": [{"type": "function", **FUNCTION}], "tool_choice": "auto", "parallel_tool_calls": True,
        "text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}}, "store": False,
        "metadata": {"a": "b"}, "top_logprobs": 1, "max_tool_calls": 1, "reasoning": {"effort": "low"},
    },
    ("main", "/v1/embeddings"): {
        "model": "embedder", "input": ["hi"], "encoding_format": "float", "dimensions": 384, "user": "u",
    },
    ("main", "/v1/rerank"): {
        "model": "ranker", "query": "hi", "documents": ["hi", {"text": "ho"}], "top_n": 1, "return_documents": True,
        "max_tokens_per_doc": 9, "priority": 1,
    },
    ("main", "/v1/messages"): {
        "model": "talker", "max_tokens": 20, "system": [{"type": "text", "text": "Be short."}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": WORDS}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "look", "input": {"at": "it"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "it"}]},
        ],
        "tools": [{"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "auto"}, "temperature": 0.5, "top_p": 0.9, "top_k": 20, "stop_sequences": ["x"],
        "stream": False, "thinking": {"type": "enabled", "budget_tokens": 1024}, "metadata": {"user_id": "u"},
    },
    ("main", "/v1/messages/count_tokens"): {
        "model": "talker", "system": "Be short.", "messages": [{"role": "user", "content": WORDS}],
    },
    ("main", "/api/chat"): {
        "model": "talker",
        "messages": [
            {"role": "user", "content": WORDS},
            {"role": "assistant", "content": "", "tool_calls": [CALLED]},
            {"role": "tool", "tool_name": "look", "content": "it"},
        ],
        "tools": [TOOL], "options": OPTIONS, "keep_alive": 300, "format": SCHEMA, "stream": False, "logprobs": True,
        "top_logprobs": 2, "think": False,
    },
    ("main", "/api/generate"): {
        "model": "talker", "prompt": WORDS, "system": "Be short.", "options": OPTIONS, "keep_alive": 300,
        "format": "json", "stream": False, "logprobs": True, "top_logprobs": 2,
    },
    ("main", "/api/embed"): {"model": "embedder", "input": ["hi"], "dimensions": 384, "truncate": True},
    ("main", "/api/show"): {"model": "talker", "verbose": False},
    ("lmstudio", "/api/v1/chat"): {
        "model": "talker", "input": [{"type": "text", "content": WORDS}], "system_prompt": "Be short.",
        "stream": False, "max_output_tokens": 20, **SAMPLING, "repeat_penalty": 1.1, "store": False,
        "context_length": 512, "reasoning": "off",
    },
    ("lmstudio", "/api/v0/chat/completions"): {
        "model": "talker", "messages": [{"role": "user", "content": WORDS}], **SAMPLING, "max_tokens": 9, "ttl": 60,
        "stream": False,
    },
}  # fmt: skip
"""Each address with every field that holds something, and lists and objects that hold one of each."""
CASES = [pytest.param(where, body, id=where[1]) for where, body in BODIES.items()]


def places(value: Any, way: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where something stands in a body: every field, every item and the lists and objects themselves."""
    if way:
        yield way
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, held in inner:
        yield from places(held, (*way, name))


def with_number(value: Any, way: tuple[str | int, ...], number: float) -> Any:
    """A copy whose place `way` holds the number."""
    if not way:
        return number
    copy = value.copy()
    copy[way[0]] = with_number(value[way[0]], way[1:], number)
    return copy


@pytest.mark.parametrize(("where", "body"), CASES)
def test_a_body_that_is_as_it_should_be_is_answered(
    where: tuple[Listener, str], body: dict[str, Any], bob: Person
) -> None:
    answer = bob.at(where[0]).post(f"/{where[1]}", json=body)
    assert answer.status_code == 200, answer.get_data(as_text=True)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize(("where", "body"), CASES)
def test_a_number_in_any_place_of_a_body_is_refused_or_does_no_harm(
    where: tuple[Listener, str], body: dict[str, Any], number: float, box: TestBox, bob: Person
) -> None:
    for way in places(body):
        answer = bob.at(where[0]).post(f"/{where[1]}", json=with_number(body, way, number))
        said = answer.get_data(as_text=True)
        assert answer.status_code in (200, 400, 404), (way, answer.status_code, said[:300])
        if answer.status_code != 200:
            assert answer.get_json()["error"], way  # every dialect's error has it
            assert "Traceback" not in said, way
    assert box.box.places.taken == 0
