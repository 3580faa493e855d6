"""The engine for chat models on ONNX: the same words as llama.cpp, one answer at a time, and what bad folders do."""

import contextlib
import json
import os
import random
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import pytest
from structlog.testing import capture_logs

from appliance.errors import (
    BadInputError,
    ContextTooLongError,
    GenaiMissingError,
    ModelDamagedError,
    ModelFailedError,
    ModelNoMemoryError,
    NoGpuError,
)
from appliance.inference import flavour, genai
from appliance.inference.engine import EngineSpec
from appliance.inference.spawn import Child
from tests.contract import one_at_a_time
from tests.contract.test_engines import BUILT, CONTEXT, KEY, REAL, Running, events, running, text_of
from tests.simulators import genai as folders

pytestmark = pytest.mark.skipif(not genai.version(), reason="the extra `genai` is not installed")

STARTER = BUILT / "smollm2-135m-instruct"


def specify(folder: Path, around: Path, **changes: Any) -> EngineSpec:
    values: dict[str, Any] = {
        "model": "on-onnx", "kind": "chat", "engine": genai.ENGINE, "folder": str(folder), "entry": genai.CONFIG,
        "socket": str(around / "m.sock"), "api_key": KEY, "threads": 1, "parallel": 1, "context": CONTEXT,
        "dimensions": 0, "provider": "cpu", "memory_bytes": 8 << 30,
    }  # fmt: skip
    return EngineSpec(**{**values, **changes})


@contextmanager
def loaded(folder: Path, **changes: Any) -> Iterator[Running]:
    with tempfile.TemporaryDirectory(prefix="hako-") as around, running(specify(folder, Path(around), **changes)) as it:
        yield it


@pytest.fixture(scope="module")
def nonsense(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Random weights: goes on for as long as it may."""
    with loaded(folders.random_llama(tmp_path_factory.mktemp("nonsense"))) as child:
        yield child


@pytest.fixture(scope="module")
def talker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with loaded(folders.talker(tmp_path_factory.mktemp("talker"))) as child:
        yield child


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The starter model, its weights as floats in a graph."""
    if not STARTER.is_dir():
        pytest.skip("the starter models are not built: make models")
    folder = folders.of_gguf(next(STARTER.glob("*.gguf")), tmp_path_factory.mktemp("starter"))
    with loaded(folder, threads=2) as child:
        yield child
    shutil.rmtree(folder)  # half a gigabyte


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


def count(child: Running, *texts: str) -> list[int]:
    with child.connect() as connection:
        return list(connection.json("/tokenize", {"texts": list(texts)})["counts"])


# -- what it writes


@REAL
def test_it_writes_the_very_words_that_llama_cpp_writes(starter: Running) -> None:
    """Where the best word is well ahead: the weights are the same, the activations are not."""
    with loaded(STARTER, engine="llama", entry=next(STARTER.glob("*.gguf")).name, threads=2) as other:
        for question in ("What is the capital of Japan?", "List the days of the week."):
            said, expected = (child.chat(question, max_tokens=16) for child in (starter, other))
            assert text_of(said) == text_of(expected) != ""
        said, expected = (completed(child, "The capital of Japan is", max_tokens=16) for child in (starter, other))
        assert written(said) == written(expected) != ""


@REAL
def test_a_schema_is_followed(starter: Running) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Tokyo", "Osaka"]}, "big": {"type": "boolean"}},
        "required": ["city", "big"],
        "additionalProperties": False,
    }
    wish = {"type": "json_schema", "json_schema": {"name": "place", "strict": True, "schema": schema}}
    answer = json.loads(text_of(starter.chat("Name a city.", response_format=wish, max_tokens=60)))
    assert answer["city"] in {"Tokyo", "Osaka"}
    assert isinstance(answer["big"], bool)


@REAL
def test_texts_in_any_writing_come_back_whole(starter: Running) -> None:
    texts = ["", "Hello  world\n\n 2024", "東京は日本の首都です🎉"]
    counts = count(starter, *texts)
    assert counts[0] == 0
    assert all(0 < number <= len(text.encode()) for number, text in zip(counts[1:], texts[1:], strict=True))


def test_it_says_what_it_is_made_to_say_and_ends(talker: Running) -> None:
    answer = talker.chat("Where?")
    assert text_of(answer) == folders.SAID
    assert finish(answer) == "stop"


def test_a_model_without_a_template_gets_lines_of_role_and_text(tmp_path: Path) -> None:
    with loaded(folders.random_llama(tmp_path, template=None)) as child:
        assert text_of(child.chat("hello", max_tokens=12)) == written(
            completed(child, "user: hello\nassistant:", max_tokens=12)
        )


def test_the_template_of_the_folder_makes_the_prompt_and_the_operators_goes_before_it(tmp_path: Path) -> None:
    template = "{{ bos_token }}{% for m in messages %}[{{ m.content | upper }}]{% endfor %}{{ eos_token }}"
    folder = folders.random_llama(tmp_path, template="{% for m in messages %}never{% endfor %}")
    expected = f"{folders.SPECIAL[1]}[HELLO]{folders.SPECIAL[2]}"
    with loaded(folder, template=template) as child:
        assert text_of(child.chat("hello", max_tokens=12)) == written(completed(child, expected, max_tokens=12))
    (folder / genai.TEMPLATE).write_text(template, "utf-8")
    with loaded(folder) as child:
        assert text_of(child.chat("hello", max_tokens=12)) == written(completed(child, expected, max_tokens=12))


def test_a_stop_word_ends_the_answer_and_is_not_shown(talker: Running) -> None:
    answer = talker.chat("Where?", stop=["of J", "never"])
    assert (text_of(answer), finish(answer)) == (" Tokyo is the capital ", "stop")
    assert text_of(talker.chat("Where?", stop="Jap")) == " Tokyo is the capital of "
    assert text_of(talker.chat("Where?", stop=["Japanese"])) == folders.SAID


def test_every_token_is_counted_and_the_limit_is_told(nonsense: Running) -> None:
    answer = nonsense.chat("hello", max_tokens=7, ignore_eos=True, stream_options={"include_usage": True})
    assert (finish(answer), answer[-1]["usage"]["completion_tokens"]) == ("length", 7)


def test_an_answer_ends_where_the_context_does(nonsense: Running) -> None:
    body = {"max_tokens": 10_000, "ignore_eos": True, "stream_options": {"include_usage": True}}
    answer = nonsense.chat("hello " * 50, **body)
    assert finish(answer) == "length"
    assert 50 < answer[-1]["usage"]["completion_tokens"] < CONTEXT
    with pytest.raises(ContextTooLongError):
        nonsense.chat("日本" * 200)  # three tokens for a letter that the vocabulary lacks
    assert text_of(nonsense.chat("hello"))


def test_a_long_prompt_is_read_in_pieces_without_another_answer(nonsense: Running) -> None:
    with loaded(Path(nonsense.spec.folder)) as other:
        texts = {written(completed(child, "hello there " * 30, max_tokens=20)) for child in (nonsense, other, nonsense)}
    assert len(texts) == 1


def test_a_seed_makes_chance_repeatable(nonsense: Running) -> None:
    warm = {"temperature": 1.5, "top_k": 0, "top_p": 1.0, "max_tokens": 30, "ignore_eos": True}
    one, same, other = (text_of(nonsense.chat("hello", **warm, seed=seed)) for seed in (5, 5, 6))
    assert one == same != other
    assert len({text_of(nonsense.chat("hello", **warm)) for _ in range(3)}) > 1


def test_of_the_folders_own_wishes_for_chance_none_counts(nonsense: Running) -> None:
    said = folders.config(folders.Llama([], lambda *_: ...))["search"]  # type: ignore[arg-type, return-value]
    assert (said["do_sample"], said["num_beams"], said["repetition_penalty"]) == (True, 2, 1.5)
    assert len({text_of(nonsense.chat("hello", ignore_eos=True)) for _ in range(2)}) == 1


def test_it_repeats_less_when_told(nonsense: Running) -> None:
    calm, eager = (
        text_of(nonsense.chat("hello", max_tokens=60, ignore_eos=True, repeat_penalty=p)) for p in (1.0, 1.8)
    )
    assert len(set(eager)) > len(set(calm))


@pytest.mark.parametrize(
    "more",
    [
        {"grammar": 'root ::= "a"'},
        {"response_format": {"type": "json_schema"}},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "nothing"}}}},
        {"response_format": {"type": "xml"}},
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


def test_nothing_to_go_on_from_is_refused(nonsense: Running) -> None:
    with pytest.raises(BadInputError):
        completed(nonsense, "")


def test_whoever_comes_meanwhile_waits_and_gets_an_answer_of_its_own(nonsense: Running) -> None:
    one_at_a_time.answers_each(nonsense)


def test_wherever_it_may_run_it_says_where_it_does(talker: Running) -> None:
    with loaded(Path(talker.spec.folder), provider="auto") as child:
        assert child.loaded.provider == "cpu"
        assert text_of(child.chat("Where?")) == folders.SAID
    with (
        tempfile.TemporaryDirectory(prefix="hako-") as around,
        pytest.raises(NoGpuError, match="cuda"),
        running(specify(Path(talker.spec.folder), Path(around), provider="cuda")),
    ):
        pass


def test_on_a_box_for_gpus_it_is_told_that_a_model_runs_without(
    talker: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flavour, "installed", lambda: ("gpu",))
    with capture_logs() as logged, loaded(Path(talker.spec.folder), provider="auto") as child:
        assert child.loaded.provider == "cpu"
    assert ("runs_on_cpu", "on-onnx") in [(entry["event"], entry.get("model")) for entry in logged]


def test_a_damaged_model_is_no_less_damaged_where_it_must_run_on_a_gpu(talker: Running, tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    shutil.copytree(talker.spec.folder, folder)
    os.truncate(folder / "model.onnx", 1000)
    with (
        tempfile.TemporaryDirectory(prefix="hako-") as around,
        pytest.raises(ModelDamagedError),
        running(specify(folder, Path(around), provider="cuda")),
    ):
        pass


# -- what goes wrong


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def cut(name: str, size: int) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size])


def told(path: str, value: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        model = folders.Llama(folders.vocabulary(), lambda *_: ..., changes={path: value})  # type: ignore[arg-type, return-value]
        (folder / genai.CONFIG).write_text(json.dumps(folders.config(model)), "utf-8")

    return change


def template(text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / genai.TEMPLATE).write_text(text, "utf-8") and None


def weights_elsewhere(folder: Path) -> None:
    made = onnx.load(folder / "model.onnx")
    onnx.save(made, folder / "model.onnx", save_as_external_data=True, location="x.data", size_threshold=0)
    raw = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(raw.replace(b"x.data", b"/etc/a"))


BAD: dict[str, Callable[[Path], None]] = {
    "no settings": without(genai.CONFIG),
    "no vocabulary": without(genai.TOKENIZER),
    "no graph": without("model.onnx"),
    "half a graph": cut("model.onnx", 2_000_000),
    "half a vocabulary": cut(genai.TOKENIZER, 2000),
    "code": told("model.decoder.session_options.custom_ops_library", "/tmp/x.so"),
    "format": told("model.decoder.inputs.past_key_names", "%s%s%n"),
    "more layers than there are": told("model.decoder.num_hidden_layers", 3),
    "larger heads than there are": told("model.decoder.head_size", 128),
    "a graph elsewhere": told("model.decoder.filename", "../model.onnx"),
    "weights elsewhere": weights_elsewhere,
    "template": template("{% for m in"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_the_runtime_can_not_be_given_is_refused_in_words_before_it_sees_it(
    talker: Running, tmp_path: Path, kind: str
) -> None:
    folder = tmp_path / "bad"
    shutil.copytree(talker.spec.folder, folder)
    BAD[kind](folder)
    with tempfile.TemporaryDirectory(prefix="hako-") as around, pytest.raises(ModelDamagedError, match="engine: "):
        Child(specify(folder, Path(around)), lambda _child: None).wait_ready()


def test_a_template_does_not_get_out_of_its_sandbox(tmp_path: Path) -> None:
    evil = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    with loaded(folders.talker(tmp_path, template=evil)) as child:
        with pytest.raises(BadInputError):
            child.chat("hello")
        assert written(completed(child, "hello")) == folders.SAID


def test_flipped_bytes_are_refused_or_end_its_own_process_only(tmp_path: Path, talker: Running) -> None:
    dice = random.Random(7)
    for name in (genai.CONFIG, genai.TOKENIZER, "model.onnx") * 2:
        folder = tmp_path / "flipped"
        shutil.copytree(talker.spec.folder, folder)
        raw = bytearray((folder / name).read_bytes())
        raw[dice.randrange(900)] ^= 1 << dice.randrange(8)
        (folder / name).write_bytes(raw)
        with contextlib.suppress(ModelDamagedError, ModelFailedError, BadInputError), loaded(folder) as child:
            child.chat("hello", max_tokens=4)
        shutil.rmtree(folder)
    assert text_of(talker.chat("Where?")) == folders.SAID


def test_killed_in_the_middle_of_an_answer_it_is_an_error_and_nothing_else_ends(
    nonsense: Running, talker: Running
) -> None:
    with tempfile.TemporaryDirectory(prefix="hako-") as around:
        ended = threading.Event()
        child = Child(specify(Path(nonsense.spec.folder), Path(around)), lambda _child: ended.set())
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
    assert text_of(talker.chat("Where?")) == folders.SAID


def test_too_little_memory_is_told_as_that_and_not_as_damage(talker: Running) -> None:
    folder = Path(talker.spec.folder)
    with tempfile.TemporaryDirectory(prefix="hako-") as around, pytest.raises(ModelNoMemoryError):
        Child(specify(folder, Path(around), memory_bytes=150 << 20), lambda _child: None).wait_ready()


def test_without_the_package_the_error_says_so(
    talker: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(genai, "version", lambda: "")
    (tmp_path / "onnxruntime_genai.py").write_text("raise ImportError('not here')", "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with tempfile.TemporaryDirectory(prefix="hako-") as around, pytest.raises(GenaiMissingError):
        Child(specify(Path(talker.spec.folder), Path(around)), lambda _child: None).wait_ready()
