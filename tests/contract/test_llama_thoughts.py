"""Thoughts of a model on llama.cpp's own server, in real children: the starter model with templates that open them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from appliance.config import REPOSITORY, Inference
from appliance.gateway.counting import prompt_tokens
from appliance.gateway.stream import events
from appliance.inference import manifest
from appliance.inference.manifest import Manifest
from appliance.inference.transport import ChildConnection
from tests.simulators import llama
from webui.dialects import thinking

pytestmark = pytest.mark.models

FOLDER = REPOSITORY / ".build" / "models" / Inference().chat_model
TOLD = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% set said = m.content %}"
    "{% if m.role == 'assistant' and '</think>' in said %}{% set said = said.split('</think>')[-1] %}{% endif %}"
    "{% if m.role == 'assistant' and m.reasoning_content %}<think>\n{{ m.reasoning_content }}\n</think>\n\n{% endif %}"
    "{{ said }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
)
NO_THOUGHTS = "<think>\n\n</think>\n\n"
SWITCH = TOLD + "{% if enable_thinking is defined and enable_thinking is false %}" + NO_THOUGHTS
SWITCHED = SWITCH + "{% else %}<think>\n{% endif %}{% endif %}"
"""As those of models that think unless they are told not to."""
ALWAYS = TOLD + "<think>\n{% endif %}"
SCHEMA = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
FORM = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}


@pytest.fixture(scope="module")
def starter() -> Manifest:
    return manifest.read(FOLDER)


@pytest.fixture(scope="module", params=[SWITCHED, ALWAYS], ids=["switched", "always"])
def thinker(request: pytest.FixtureRequest, starter: Manifest) -> Iterator[tuple[llama.Connect, str]]:
    """New connections to a child, and its template."""
    with llama.serving(starter.id, FOLDER / starter.entry, template=request.param) as connect:
        yield connect, request.param


def body(**more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "Say hello"}], "temperature": 0, "max_tokens": 40, **more}


def answer(connect: llama.Connect, **more: Any) -> tuple[str, str]:
    """Thoughts and text, from a stream."""
    with connect() as connection:
        connection.send("/v1/chat/completions", body(stream=True, **more))
        connection.begin(None)
        deltas = [choice["delta"] for event in events(connection.chunks(None)) for choice in event["choices"]]
    parts = [(delta.get("reasoning_content") or "", delta.get("content") or "") for delta in deltas]
    assert not any(thought and text for thought, text in parts)
    return "".join(thought for thought, _ in parts), "".join(text for _, text in parts)


def test_thoughts_come_apart_from_the_answer(thinker: tuple[llama.Connect, str]) -> None:
    connect, _ = thinker
    thoughts, text = answer(connect, max_tokens=12)
    assert thoughts.strip()
    assert text == ""  # a model that never learnt to think doesn't come to an end
    grammar = 'root ::= "hm so\\n</think>\\n\\nyes"'
    thoughts, text = answer(connect, grammar=grammar)
    assert (thoughts.strip(), text.strip()) == ("hm so", "yes")


@pytest.mark.parametrize("wish", [False, "none", "off"])
def test_what_dialects_say_against_thoughts_leaves_only_the_answer(
    thinker: tuple[llama.Connect, str],
    wish: bool | str,
) -> None:
    connect, template = thinker
    told = thinking.told(wish)
    thoughts, text = answer(connect, **told)
    assert (thoughts.strip(), bool(text.strip())) == ("", True)
    thoughts, text = answer(connect, response_format=FORM, **told)
    assert thoughts.strip() == ""
    assert isinstance(json.loads(text)["ok"], bool)
    with connect() as connection:
        prompt = connection.json("/apply-template", body(**told))["prompt"]
    assert prompt.endswith(NO_THOUGHTS if template == SWITCHED else "<think>\n")


def test_a_budget_ends_the_thoughts(thinker: tuple[llama.Connect, str]) -> None:
    connect, _ = thinker
    long, _ = answer(connect)
    short, text = answer(connect, **thinking.told("low", budget=6))
    assert 0 < len(short.strip()) < len(long.strip())
    assert text.strip()
    short, text = answer(connect, response_format=FORM, **thinking.told(wish=True, budget=6))
    assert short.strip()
    assert isinstance(json.loads(text)["ok"], bool)


def test_tokens_are_counted_in_the_form_that_is_asked_for(
    thinker: tuple[llama.Connect, str], starter: Manifest
) -> None:
    connect, _ = thinker

    def counted(connection: ChildConnection, **more: Any) -> tuple[int, int]:
        told = connection.json("/v1/chat/completions", body(**more) | {"max_tokens": 1})["usage"]["prompt_tokens"]
        return prompt_tokens(connection, starter, body(**more), None), told

    for wish in (None, True, False, "high"):
        with connect() as connection:
            ours, theirs = counted(connection, **thinking.told(wish))
            assert ours == theirs


def test_the_starter_models_own_template_has_no_thoughts(starter: Manifest) -> None:
    assert not starter.thinking
    with llama.serving(starter.id, FOLDER / starter.entry) as connect:
        texts = {
            answer(connect, **thinking.told(wish, budget=budget))
            for wish, budget in ((None, None), (False, None), (True, 9))
        }
    assert len(texts) == 1
    assert {thoughts for thoughts, _ in texts} == {""}
