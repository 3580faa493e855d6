"""Engines that are extras: which is there, and what is said where it is not."""

from importlib import metadata
from pathlib import Path

import pytest

from appliance.config import REPOSITORY, Settings
from appliance.errors import EngineMissingError, GenaiMissingError
from appliance.health.box.engines import EnginesCheck
from appliance.health.box.parts import Plain
from appliance.inference import extras, genai, legacy
from appliance.vault.client import KeysClient


def installing(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    def version(name: str) -> str:
        if name not in names:
            raise metadata.PackageNotFoundError(name)
        return "1.0"

    def distribution(name: str) -> object:
        return version(name)

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(metadata, "distribution", distribution)


def test_a_missing_engine_is_named_by_its_own_error(monkeypatch: pytest.MonkeyPatch) -> None:
    installing(monkeypatch)
    older, on_onnx = (extras.missing(engine, "m") for engine in ("ctransformers", "genai"))
    assert (type(older), type(on_onnx)) == (EngineMissingError, GenaiMissingError)
    assert extras.missing("llama", "m") is extras.missing("onnx", "m") is None
    installing(monkeypatch, "ctransformers", "onnxruntime-genai-cuda")
    assert extras.missing("ctransformers", "m") is extras.missing("genai", "m") is None


@pytest.mark.parametrize(
    ("flavour", "package"),
    [("legacy", legacy.ENGINE), ("genai", "onnxruntime-genai"), ("genai-gpu", "onnxruntime-genai-cuda")],
)
def test_the_extra_that_the_words_name_has_a_lock_with_the_box_s_own_versions(flavour: str, package: str) -> None:
    run, own = pinned("run"), pinned(flavour)
    assert set(own) >= {package, *run} - {"onnxruntime"}
    assert {name for name in run.keys() & own.keys() if run[name] != own[name]} <= {"flatbuffers", "protobuf"}


def pinned(lock: str) -> dict[str, set[str]]:
    """Versions by package; there may be one for each Python."""
    found: dict[str, set[str]] = {}
    for line in (REPOSITORY / "requirements" / f"{lock}.txt").read_text("utf-8").splitlines():
        name, is_pin, version = line.partition("==")
        if is_pin and not line.startswith((" ", "#")):
            found.setdefault(name, set()).add(version.split()[0])
    return found


def test_only_extras_have_a_number_of_places_of_their_own() -> None:
    assert [extras.places(engine) for engine in ("llama", "ctransformers", "genai")] == [None, 1, 1]


@pytest.mark.parametrize(
    ("names", "found", "state"),
    [
        ([], {}, "ok"),
        (["onnxruntime", "onnxruntime-genai"], {"cpu": "1.0"}, "ok"),
        (["onnxruntime-gpu", "onnxruntime-genai-cuda"], {"gpu": "1.0"}, "ok"),
        (["onnxruntime", "onnxruntime-genai-cuda"], {"gpu": "1.0"}, "error"),
        (["onnxruntime", "onnxruntime-genai", "onnxruntime-genai-cuda"], {"cpu": "1.0", "gpu": "1.0"}, "error"),
    ],
)
def test_the_engine_for_chats_on_onnx_is_right_in_the_flavour_of_onnxruntime(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, names: list[str], found: dict[str, str], state: str
) -> None:
    installing(monkeypatch, *names)
    assert genai.installed() == found
    seen = EnginesCheck().look(Plain(Settings(data_dir=tmp_path), KeysClient(tmp_path / "no").status, 1))
    assert ("error" if "mixed" in [found.name for found in seen.findings] else "ok") == state
