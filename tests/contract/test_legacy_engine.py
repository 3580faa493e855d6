"""The engine for older models: the same words as llama.cpp, one answer at a time, and what bad files do to it."""

import contextlib
import os
import random
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import (
    BadInputError,
    ContextTooLongError,
    ModelDamagedError,
    ModelFailedError,
    ModelNoMemoryError,
)
from appliance.inference import legacy
from appliance.inference.engine import EngineSpec
from appliance.inference.spawn import Child
from tests.contract import one_at_a_time
from tests.contract.test_engines import CONTEXT, KEY, Running, events, running, text_of
from tests.simulators import spm

pytestmark = pytest.mark.skipif(not legacy.version(), reason="the extra `legacy` is not installed")


def specify(file: Path, around: Path, engine: str = legacy.ENGINE, **changes: Any) -> EngineSpec:
    values: dict[str, Any] = {
        "model": "older", "kind": "chat", "engine": engine, "folder": str(file.parent), "entry": file.name,
        "socket": str(around / "m.sock"), "api_key": KEY, "threads": 4, "parallel": 1, "context": CONTEXT,
        "dimensions": 0, "provider": "cpu", "memory_bytes": 8 << 30,
    }  # fmt: skip
    return EngineSpec(**{**values, **changes})


@contextmanager
def loaded(file: Path, engine: str = legacy.ENGINE) -> Iterator[Running]:
    with tempfile.TemporaryDirectory(prefix="hako-") as around, running(specify(file, Path(around), engine)) as child:
        yield child


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("older")


@pytest.fixture(scope="module")
def nonsense(files: Path) -> Iterator[Running]:
    """Random weights: goes on for as long as it may.

    Of many, the seed with which the best word is always well ahead of the next best in what follows "hello there".
    """
    with loaded(spm.random_llama(files / "nonsense.gguf", seed=8)) as child:
        yield child


@pytest.fixture(scope="module")
def talker(files: Path) -> Iterator[Running]:
    with loaded(spm.talker(files / "talker.gguf", "Q4_0")) as child:
        yield child


def completed(child: Running, prompt: str, **more: Any) -> list[dict[str, Any]]:
    body = {"prompt": prompt, "stream": True, "temperature": 0, "max_tokens": 40, **more}
    with child.connect() as connection:
        connection.send("/v1/completions", body)
        connection.begin()
        return events(b"".join(connection.chunks()))


def written(answer: list[dict[str, Any]]) -> str:
    return "".join(choice["text"] for event in answer for choice in event["choices"])


def finish(answer: list[dict[str, Any]]) -> str:
    return next(choice["finish_reason"] for event in answer[::-1] for choice in event["choices"])


# -- what it writes


def test_it_writes_the_very_words_that_llama_cpp_writes(nonsense: Running) -> None:
    with loaded(nonsense.spec.file, "llama") as other:
        said, expected = (child.chat("hello there", max_tokens=40) for child in (nonsense, other))
        assert text_of(said) == text_of(expected) != ""
        assert len([event for event in said if text_of([event])]) == 40
        assert written(completed(nonsense, "hello there")) == written(completed(other, "hello there")) != ""


def test_a_quantised_model_says_what_it_is_made_to_say_and_ends(talker: Running) -> None:
    answer = talker.chat("Where?")
    assert text_of(answer) == spm.SAID
    assert finish(answer) == "stop"


def test_a_model_without_a_template_gets_lines_of_role_and_text(files: Path) -> None:
    with loaded(spm.random_llama(files / "plain.gguf", template=None)) as child:
        assert text_of(child.chat("hello", max_tokens=12)) == written(
            completed(child, "user: hello\nassistant:", max_tokens=12)
        )


def test_the_template_of_the_file_makes_the_prompt(files: Path) -> None:
    template = "{{ bos_token }}{% for m in messages %}[{{ m.content | upper }}]{% endfor %}"
    with loaded(spm.random_llama(files / "own.gguf", template=template)) as child:
        assert text_of(child.chat("hello", max_tokens=12)) == written(completed(child, "[HELLO]", max_tokens=12))


def test_a_stop_word_ends_the_answer_and_is_not_shown(talker: Running) -> None:
    answer = talker.chat("Where?", stop=["of J", "never"])
    assert (text_of(answer), finish(answer)) == (" Tokyo is the capital ", "stop")
    assert text_of(talker.chat("Where?", stop="Jap")) == " Tokyo is the capital of "
    assert text_of(talker.chat("Where?", stop=["Japanese"])) == spm.SAID


def test_every_token_is_counted_and_the_limit_is_told(nonsense: Running) -> None:
    answer = nonsense.chat("hello", max_tokens=7, stream_options={"include_usage": True})
    assert (finish(answer), answer[-1]["usage"]["completion_tokens"]) == ("length", 7)


def test_an_answer_ends_where_the_context_does(nonsense: Running) -> None:
    body = {"max_tokens": 10_000, "ignore_eos": True, "stream_options": {"include_usage": True}}
    answer = nonsense.chat("hello " * 50, **body)
    assert finish(answer) == "length"
    assert 50 < answer[-1]["usage"]["completion_tokens"] < CONTEXT
    with pytest.raises(ContextTooLongError):
        nonsense.chat("日本" * 200)  # three tokens for a letter that the vocabulary lacks
    assert text_of(nonsense.chat("hello"))


def test_a_seed_makes_chance_repeatable(nonsense: Running) -> None:
    warm = {"temperature": 1.5, "top_k": 0, "top_p": 1.0, "max_tokens": 30, "ignore_eos": True}
    one, same, other = (text_of(nonsense.chat("hello", **warm, seed=seed)) for seed in (5, 5, 6))
    assert one == same != other
    assert len({text_of(nonsense.chat("hello", **warm)) for _ in range(3)}) > 1


def test_it_repeats_less_when_told(nonsense: Running) -> None:
    calm, eager = (text_of(nonsense.chat("hello", max_tokens=60, repeat_penalty=p)) for p in (1.0, 1.8))
    assert len(set(eager)) > len(set(calm))


@pytest.mark.parametrize(
    "more",
    [
        {"response_format": {"type": "json_object"}},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"temperature": "warm"},
        {"stop": [5]},
    ],
)
def test_what_it_can_not_follow_is_refused_and_not_ignored(nonsense: Running, more: dict[str, Any]) -> None:
    with pytest.raises(BadInputError):
        nonsense.chat("hello", **more)
    assert text_of(nonsense.chat("hello", response_format={"type": "text"}, tools=[]))


@one_at_a_time.UNHEEDED
def test_what_would_make_another_answer_of_it_is_refused_by_its_name(
    nonsense: Running, field: str, wish: Any, nothing: Any
) -> None:
    one_at_a_time.refuses_by_name(nonsense, field, wish, nothing)


def test_whoever_comes_meanwhile_waits_and_gets_an_answer_of_its_own(nonsense: Running) -> None:
    one_at_a_time.answers_each(nonsense)


def test_a_file_in_the_form_before_the_last_works_too(files: Path, talker: Running) -> None:
    older = files / "v2.gguf"
    raw = talker.spec.file.read_bytes()
    older.write_bytes(raw[:4] + (2).to_bytes(4, "little") + raw[8:])
    with loaded(older) as child:
        assert text_of(child.chat("Where?")) == spm.SAID


# -- what goes wrong


def refused(file: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="hako-") as around, pytest.raises(ModelDamagedError, match="engine: "):
        Child(specify(file, Path(around)), lambda _child: None).wait_ready()


BAD: dict[str, Callable[[Path], Path]] = {
    "bpe": lambda path: spm.random_llama(path, vocabulary="gpt2"),
    "no scores": lambda path: spm.random_llama(path, scores=False),
    "no output": lambda path: spm.random_llama(path, output=False),
    "later tensors": lambda path: spm.random_llama(path, "BF16"),
    "template": lambda path: spm.random_llama(path, template="{% for m in"),
    "ggml": lambda path: (path.write_bytes(b"tjgg" + bytes(5000)), path)[1],
    "empty": lambda path: (path.write_bytes(b""), path)[1],
}


@pytest.mark.parametrize("kind", BAD)
def test_what_the_runtime_can_not_read_is_refused_in_words_before_it_sees_it(tmp_path: Path, kind: str) -> None:
    refused(BAD[kind](tmp_path / "bad.gguf"))


def test_a_template_does_not_get_out_of_its_sandbox(tmp_path: Path) -> None:
    template = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    with loaded(spm.talker(tmp_path / "evil.gguf", template=template)) as child:
        with pytest.raises(BadInputError):
            child.chat("hello")
        assert written(completed(child, "hello")) == spm.SAID


def test_flipped_header_bytes_are_refused_or_end_its_own_process_only(tmp_path: Path, talker: Running) -> None:
    raw = talker.spec.file.read_bytes()
    dice = random.Random(7)
    for number in range(8):
        flipped = bytearray(raw)
        flipped[dice.randrange(24, 900)] ^= 1 << dice.randrange(8)
        file = tmp_path / f"{number}.gguf"
        file.write_bytes(flipped)
        with contextlib.suppress(ModelDamagedError, ModelFailedError), loaded(file) as child:
            child.chat("hello", max_tokens=4)
    assert text_of(talker.chat("Where?")) == spm.SAID


def test_killed_in_the_middle_of_an_answer_it_is_an_error_and_nothing_else_ends(files: Path, talker: Running) -> None:
    file = spm.random_llama(files / "killed.gguf", layers=8)
    with tempfile.TemporaryDirectory(prefix="hako-") as around:
        ended = threading.Event()
        child = Child(specify(file, Path(around)), lambda _child: ended.set())
        child.wait_ready()
        caller = Running(child.spec, child.loaded)  # type: ignore[arg-type]
        with caller.connect() as connection:
            connection.send("/v1/chat/completions", caller.long_body())
            connection.begin()
            chunks = connection.chunks()
            next(chunks)
            os.kill(child.pid, signal.SIGKILL)
            with pytest.raises(ModelFailedError):
                list(chunks)
        assert ended.wait(20)
    assert text_of(talker.chat("Where?")) == spm.SAID


def test_too_little_memory_is_told_as_that_and_not_as_damage(talker: Running) -> None:
    with tempfile.TemporaryDirectory(prefix="hako-") as around, pytest.raises(ModelNoMemoryError):
        Child(specify(talker.spec.file, Path(around), memory_bytes=150 << 20), lambda _child: None).wait_ready()


def test_without_the_package_the_error_says_so(
    talker: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ctransformers.py").write_text("raise ImportError('not here')", "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with tempfile.TemporaryDirectory(prefix="hako-") as around, pytest.raises(ModelDamagedError, match="legacy"):
        Child(specify(talker.spec.file, Path(around)), lambda _child: None).wait_ready()
