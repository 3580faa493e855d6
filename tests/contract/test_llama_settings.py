"""What an operator can set of the llama.cpp engine, tried with the starter model in real children."""

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psutil
import pytest

from appliance.config import REPOSITORY, Inference
from appliance.errors import CacheTypeError, ChatTemplateError
from appliance.gateway.counting import fitted, prompt_tokens
from appliance.inference import manifest
from appliance.inference.manifest import Manifest
from appliance.inference.transport import ChildConnection
from tests.simulators import gguf, llama

pytestmark = pytest.mark.models

FOLDER = REPOSITORY / ".build" / "models" / Inference().chat_model
NOTICE = (
    "The Minato City Hospital opens at nine in the morning on weekdays, and at ten on Saturdays. Visitors have to "
    "register at the desk in the north building, and leave before eight in the evening."
)
QUOTE = f"Repeat this text word for word:\n{NOTICE}\n{NOTICE[:91]} Visitors"


@pytest.fixture(scope="module")
def starter() -> Manifest:
    return manifest.read(FOLDER)


def running(starter: Manifest, **more: Any) -> AbstractContextManager[ChildConnection]:
    return llama.running(starter.id, FOLDER / starter.entry, **more)


def answer(connection: ChildConnection, text: str, tokens: int = 40) -> tuple[str, dict[str, Any]]:
    """The most likely answer, and the engine's own figures."""
    messages = [{"role": "user", "content": text}]
    body = {"messages": messages, "temperature": 0, "max_tokens": tokens, "cache_prompt": False}
    said = connection.json("/v1/chat/completions", body)
    return said["choices"][0]["message"]["content"], said["timings"]


def test_speculation_guesses_right_and_leaves_every_answer_as_it_is(starter: Manifest) -> None:
    questions = [QUOTE, "Write a list of ten fruits."]
    with running(starter) as plain:
        expected = [answer(plain, question) for question in questions]
    with running(starter, speculation="ngram") as quick:
        found = [answer(quick, question) for question in questions]
    assert [text for text, _ in found] == [text for text, _ in expected]
    assert "draft_n_accepted" not in expected[0][1]
    assert found[0][1]["draft_n_accepted"] > 0


@pytest.mark.parametrize("cache_type", ["q8_0", "q4_0"])
def test_a_model_answers_from_a_rounded_cache_that_takes_less_memory(starter: Manifest, cache_type: str) -> None:
    memory = []
    for kind in ("f16", cache_type):
        before = set(psutil.Process().children())
        with running(starter, context=8192, cache_type=kind) as connection:
            text, timings = answer(connection, f"{NOTICE} When does the hospital open?")
            (child,) = set(psutil.Process().children()) - before
            memory.append(child.memory_info().rss)
        assert "hospital" in text.lower()
        assert timings["predicted_n"] > 3
    assert memory[0] - memory[1] > 40 << 20  # of 180 MiB; every token's place is written when the model is loaded


def test_a_model_whose_heads_can_not_be_rounded_is_told_as_that_and_not_as_damage(tmp_path: Path) -> None:
    file = gguf.tiny_llama(tmp_path / "tiny.gguf")
    with pytest.raises(CacheTypeError) as refused, llama.running("tiny", file, context=512, cache_type="q8_0"):
        pass
    assert refused.value.params == {"name": "tiny", "cache": "q8_0"}


@pytest.mark.parametrize(
    "more",
    [
        {"typical_p": 0.05},
        {"xtc_probability": 1.0, "xtc_threshold": 0.01},
        {"dry_multiplier": 10.0, "dry_base": 10.0, "dry_allowed_length": 1},
        {"mirostat": 1, "mirostat_tau": 0.1, "mirostat_eta": 1.0},
        {"mirostat": 2, "mirostat_tau": 0.1, "mirostat_eta": 1.0},
    ],
)
def test_each_way_of_choosing_changes_what_is_written(starter: Manifest, more: dict[str, Any]) -> None:
    body = {
        "messages": [{"role": "user", "content": "Write a long story about the cat that sat on the mat."}],
        "max_tokens": 48, "seed": 7, "temperature": 1.5, "cache_prompt": False,
    }  # fmt: skip
    with running(starter) as connection:
        plain, again, other = (
            connection.json("/v1/chat/completions", body | extra)["choices"][0]["message"]["content"]
            for extra in ({}, {}, more)
        )
    assert plain == again != other


def test_an_operators_template_is_the_form_that_the_model_gets(starter: Manifest) -> None:
    template = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}[assistant]"
    body = {"messages": [{"role": "user", "content": "Hello"}]}
    with running(starter, template=template) as connection:
        assert connection.json("/apply-template", body)["prompt"] == "[user] Hello\n[assistant]"
        assert answer(connection, "Hello", tokens=2)[0]
    with running(starter) as connection:
        assert "<|im_start|>" in connection.json("/apply-template", body)["prompt"]


def test_a_template_that_only_the_engine_refuses_is_told_as_that_and_not_as_damage(starter: Manifest) -> None:
    with pytest.raises(ChatTemplateError), running(starter, template="{% for"):
        pass


def test_a_chat_that_is_cut_fits_as_the_engine_counts_it(starter: Manifest) -> None:
    turns = [
        {"role": role, "content": f"{role} {turn}: {NOTICE}"} for turn in range(20) for role in ("user", "assistant")
    ]
    body = {"messages": [*turns, {"role": "user", "content": "And on Sundays?"}], "max_tokens": 16}
    with running(starter) as connection:
        cut, left_out = fitted(connection, starter, body, "rolling", 1024, None)
        assert 0 < left_out == len(body["messages"]) - len(cut["messages"])
        assert prompt_tokens(connection, starter, cut, None) <= 1024 - 16
        said = connection.json("/v1/chat/completions", {**cut, "temperature": 0})
    assert said["usage"]["prompt_tokens"] <= 1024 - 16
    assert json.dumps(cut["messages"][-1]) == json.dumps(body["messages"][-1])
