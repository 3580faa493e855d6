"""What the settings of the box and a model's own come to."""

import json
from pathlib import Path
from typing import Any

import pytest

from appliance.config import Settings
from appliance.inference import flavour
from appliance.inference.load_settings import LoadSettings
from appliance.inference.manifest import Manifest
from appliance.inference.terms import Terms, terms_of
from appliance.machine import resources

FOLDER = Path("/models/talker")
BOX = {"threads": 3, "parallel": 2, "context_tokens": 2048, "child_memory_mb": 512, "idle_minutes": 5}


def terms(
    kind: str = "chat", engine: str = "llama", box: Any = BOX, data_dir: Path = Path("/none"), **wish: Any
) -> Terms:
    manifest = Manifest.model_validate(
        {
            "id": "talker", "name": "Talker", "kind": kind, "engine": engine, "entry": "a", "licence": "MIT",
            "files": {"a": {"sha256": "0" * 64, "size": 1000}}, "source": "test", "languages": ["en"], "context": 4096,
            "dimensions": 8,
        }
    )  # fmt: skip
    settings = Settings.model_validate({"data_dir": data_dir, "inference": box})
    return terms_of(manifest, FOLDER, settings, LoadSettings(**wish))


def test_a_model_without_wishes_is_run_as_the_box_is_set() -> None:
    found = terms()
    assert (found.spec.context, found.spec.parallel, found.spec.threads, found.places) == (2048, 2, 3, 2)
    assert (found.spec.folder, found.spec.socket, found.spec.api_key) == (str(FOLDER), "", "")
    assert found.memory_limit == 1000 + (512 << 20)
    assert (found.pinned, found.idle_seconds, found.own_idle_seconds) == (False, 300, None)


def test_its_own_wishes_come_first() -> None:
    found = terms(
        context=3000, parallel=7, threads=1, pinned=True, idle_minutes=0, speculation="ngram", template="{{x}}",
        cache_type="q8_0",
    )  # fmt: skip
    assert (found.spec.context, found.spec.parallel, found.spec.threads, found.places) == (3000, 7, 1, 7)
    assert (found.spec.speculation, found.spec.template, found.spec.cache_type) == ("ngram", "{{x}}", "q8_0")
    assert (found.pinned, found.own_idle_seconds) == (True, 0)


@pytest.mark.parametrize(
    ("wish", "gains", "expected"),
    [
        ("auto", (0.0, 0.0), "off"),
        ("auto", (1.5, 0.97), "ngram"),
        ("auto", (1.1, 0.9), "ngram"),
        ("auto", (1.09, 1.0), "off"),
        ("auto", (3.0, 0.89), "off"),
        ("auto", (3.0, 0.0), "off"),
        ("off", (3.0, 1.0), "off"),
        ("ngram", (0.5, 0.5), "ngram"),
    ],
)
def test_a_model_guesses_as_is_said_or_where_it_was_measured_to_pay(
    tmp_path: Path, wish: str, gains: tuple[float, float], expected: str
) -> None:
    stored = {"sha256": "0" * 64, "quoting_gain": gains[0], "other_gain": gains[1], "read_per_s": 1}
    (tmp_path / "model-figures.json").write_text(json.dumps({"talker": stored}), "utf-8")
    assert terms(data_dir=tmp_path, speculation=wish).spec.speculation == expected


@pytest.mark.parametrize(
    "content",
    [
        "", "[]", '{"talker": 5}', '{"talker": {"sha256": "0", "quoting_gain": "much"}}',
        json.dumps({"talker": {"sha256": "1" * 64, "quoting_gain": 9.0, "other_gain": 1.0}}),
        json.dumps({"other": {"sha256": "0" * 64, "quoting_gain": 9.0, "other_gain": 1.0}}),
        json.dumps({"talker": {"sha256": "0" * 64}}),
    ],
)  # fmt: skip
def test_nothing_is_guessed_where_this_file_was_not_measured(tmp_path: Path, content: str) -> None:
    (tmp_path / "model-figures.json").write_text(content, "utf-8")
    assert terms(data_dir=tmp_path).spec.speculation == "off"


def test_no_wish_goes_beyond_what_the_model_was_trained_for() -> None:
    assert terms(context=100_000).spec.context == 4096


@pytest.mark.parametrize("kind", ["embedding", "reranker"])
def test_a_model_that_does_not_chat_has_its_whole_context_and_places_of_its_own(kind: str) -> None:
    found = terms(kind, "onnx")
    assert (found.spec.context, found.places) == (4096, 4)


@pytest.mark.parametrize("engine", ["ctransformers", "genai"])
def test_the_engines_with_one_context_write_one_answer_at_a_time(engine: str) -> None:
    found = terms(engine=engine, parallel=7)
    assert (found.spec.parallel, found.places) == (1, 1)


@pytest.mark.parametrize(
    ("kind", "engine", "flavours", "is_limited"),
    [
        ("embedding", "onnx", ("gpu",), False),
        ("chat", "genai", ("gpu",), False),
        ("chat", "llama", ("gpu",), True),
        ("embedding", "onnx", ("cpu",), True),
    ],
)
def test_who_may_come_to_use_cuda_has_no_limit_of_address_space_and_is_watched_all_the_same(
    monkeypatch: pytest.MonkeyPatch, kind: str, engine: str, flavours: tuple[str, ...], is_limited: bool
) -> None:
    monkeypatch.setattr(flavour, "installed", lambda: flavours)
    found = terms(kind, engine)
    assert found.spec.memory_bytes == (2 * found.memory_limit if is_limited else 0)
    assert found.memory_limit == 1000 + (512 << 20)


@pytest.mark.parametrize(
    ("cores", "box", "wish", "threads"),
    [
        (8, {}, {}, 7),  # one core is left to all that isn't a model
        (2, {}, {}, 1),
        (1, {}, {}, 1),
        (8, {"threads": 3}, {}, 3),
        (8, {"threads": 16}, {}, 16),
        (8, {"threads": 3}, {"threads": 5}, 5),
        (8, {}, {"threads": 2}, 2),
    ],
)
def test_a_core_stays_free_unless_the_box_or_the_model_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, cores: int, box: Any, wish: dict[str, Any], threads: int
) -> None:
    monkeypatch.setattr(resources, "cores", lambda: cores)
    assert terms(box=box, **wish).spec.threads == threads
