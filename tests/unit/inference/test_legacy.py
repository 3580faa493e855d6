"""Which files the engine for older models is given, by both ways in."""

from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from appliance.config import Settings
from appliance.errors import EngineMissingError, ModelFileError, ModelLegacyError, ModelOldFormatError, ModelPathError
from appliance.inference import legacy
from appliance.inference.importing import Imported, Importer, Wish
from tests.simulators import gguf, spm
from webui import locales


@pytest.fixture
def importer(tmp_path: Path) -> Importer:
    return Importer(Settings(data_dir=tmp_path / "data"), lambda _name: False)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return spm.talker(tmp_path_factory.mktemp("older") / "older.gguf", "Q4_0")


def wish(path: Path, **more: object) -> Wish:
    return Wish(path=str(path), licence="CC0-1.0", **{"engine": legacy.ENGINE, **more})  # type: ignore[arg-type]


def bring(importer: Importer, wanted: Wish) -> Imported:
    with importer.begin(wanted) as incoming:
        list(incoming.copy())
        return incoming.finish()


@pytest.mark.parametrize("kind", ["F16", "Q4_0"])
def test_one_file_is_imported_for_either_engine(importer: Importer, tmp_path: Path, kind: str) -> None:
    file = spm.random_llama(tmp_path / "model.gguf", kind)
    older = bring(importer, wish(file)).manifest
    usual = bring(importer, wish(file, engine="llama")).manifest
    assert [(found.id, found.engine) for found in (older, usual)] == [
        ("model", "ctransformers"),
        ("model-2", "llama"),
    ]
    assert older.quantization == usual.quantization == kind
    assert bring(importer, wish(file)).is_new is False


def test_it_answers_one_at_a_time_and_has_no_grammar(importer: Importer, file: Path) -> None:
    older, usual = (importer.plan(wish(file, engine=engine)) for engine in ("ctransformers", "llama"))
    assert (older.estimate.parallel, usual.estimate.parallel) == (1, 2)
    assert older.estimate.cache * 2 == usual.estimate.cache
    assert (older.size_class, usual.size_class) == ("small", "tiny")


@pytest.mark.parametrize(
    ("changes", "reason", "found"),
    [
        ({"tokenizer__ggml__model": "gpt2"}, "vocabulary", "gpt2"),
        ({"tokenizer__ggml__model": "bert"}, "vocabulary", "bert"),
        ({"tokenizer__ggml__scores": None}, "scores", ""),
        ({"general__architecture": "qwen2"}, "architecture", "qwen2"),
    ],
)
def test_a_whole_model_of_another_kind_is_refused_with_the_reason_and_the_usual_engine_takes_it(
    importer: Importer, tmp_path: Path, changes: dict[str, object], reason: str, found: str
) -> None:
    if changes.get("general__architecture") == "qwen2":
        changes = changes | {
            key.replace("llama.", "qwen2.", 1).replace(".", "__"): value
            for key, value in gguf.entries().items()
            if key.startswith("llama.")
        }
    path = gguf.tiny_llama(tmp_path / "other.gguf", **changes)
    with pytest.raises(ModelLegacyError) as caught:
        importer.begin(wish(path))
    assert caught.value.params == {"name": "other.gguf", "reason": reason, "found": found}
    assert importer.plan(wish(path, engine="llama")).model == "other"


def test_shared_words_and_later_tensors_are_refused(importer: Importer, tmp_path: Path) -> None:
    for path, reason in (
        (spm.random_llama(tmp_path / "shared.gguf", output=False), ("output", "")),
        (spm.random_llama(tmp_path / "later.gguf", "BF16"), ("tensors", "BF16")),
    ):
        with pytest.raises(ModelLegacyError) as caught:
            importer.plan(wish(path))
        assert (caught.value.params["reason"], caught.value.params["found"]) == reason


@pytest.mark.parametrize("language", locales.LANGUAGES)
def test_each_reason_is_told_in_words(language: locales.Language) -> None:
    said = set()
    for reason in get_args(get_type_hints(legacy.Obstacle)["reason"]):
        error = ModelLegacyError(name="a.gguf", reason=reason, found="what it has")
        said.add(sentence := locales.sentence(error, language))
        assert f"error.HK-MOD-013.reason.{reason}" in locales.catalogue(language)
        assert "{" not in sentence
    assert len(said) == 5


@pytest.mark.parametrize(("magic", "form"), [(b"lmgg", "GGML"), (b"fmgg", "GGMF"), (b"tjgg", "GGJT")])
@pytest.mark.parametrize("engine", ["llama", legacy.ENGINE])
def test_a_model_in_a_form_before_gguf_is_called_that_and_not_damaged(
    importer: Importer, tmp_path: Path, magic: bytes, form: str, engine: str
) -> None:
    path = tmp_path / "old.bin"
    path.write_bytes(magic + bytes(5000))
    with pytest.raises(ModelOldFormatError) as caught:
        importer.plan(wish(path, engine=engine))
    assert caught.value.params == {"name": "old.bin", "format": form}
    assert form in locales.sentence(caught.value, "ja")


@pytest.mark.parametrize("part", range(0, 30, 3))
def test_a_file_that_is_cut_off_is_refused(importer: Importer, file: Path, tmp_path: Path, part: int) -> None:
    raw = file.read_bytes()
    cut = tmp_path / "cut.gguf"
    for third in range(3):
        cut.write_bytes(raw[: len(raw) * (part + third) // 30])
        with pytest.raises(ModelFileError):
            importer.plan(wish(cut))
    cut.write_bytes(raw[:-64])
    with pytest.raises(ModelFileError):
        importer.plan(wish(cut))


def test_without_the_package_nothing_is_imported_for_it(
    importer: Importer, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(legacy, "version", lambda: "")
    with pytest.raises(EngineMissingError):
        importer.begin(wish(file))
    assert importer.plan(wish(file, engine="llama"))


def test_a_folder_is_refused(importer: Importer, tmp_path: Path) -> None:
    with pytest.raises(ModelPathError):
        importer.plan(wish(tmp_path))
