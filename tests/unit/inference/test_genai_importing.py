"""Folders of chat models on ONNX: what becomes of them, and hostile ones refused without a trace."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from appliance.config import Settings
from appliance.errors import (
    BadInputError,
    GenaiMissingError,
    HakoError,
    ModelFileError,
    ModelFolderError,
    ModelGenaiError,
    ModelPathError,
)
from appliance.inference import genai
from appliance.inference.catalog import Catalog
from appliance.inference.genai_importing import GenaiImporter, is_genai
from appliance.inference.headers import Headers
from appliance.inference.importing import Imported, Importer
from appliance.inference.load_settings import LoadSettings
from appliance.inference.onnx_importing import FolderWish
from appliance.inference.terms import terms_of
from appliance.inference.verify import verify_files
from tests.simulators import genai as folders

TAKEN = {"genai_config.json", "model.onnx", "model.onnx.data", "tokenizer.json", "tokenizer_config.json"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


@pytest.fixture
def importer(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> GenaiImporter:
    """As where the engine is installed: nothing of it is needed to bring a folder in."""
    monkeypatch.setattr(genai, "version", lambda: "1.0")
    return GenaiImporter(settings, Importer(settings, lambda _name: False))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folders.talker(tmp_path_factory.mktemp("m") / "Tiny Talker", beside=True)


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / original.name))


def wish(path: Path | str, **more: Any) -> FolderWish:
    return FolderWish(path=str(path), licence="MIT", **more)


def bring(importer: GenaiImporter, wanted: FolderWish) -> Imported:
    with importer.begin(wanted) as incoming:
        assert list(incoming.copy())[-1] == incoming.plan.size
        return incoming.finish()


def leftovers(settings: Settings) -> list[str]:
    return sorted(path.name for path in settings.models.glob("*")) if settings.models.exists() else []


def rewrite(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), "utf-8")


# -- what becomes of them


def test_a_folder_becomes_a_chat_model_of_just_the_files_that_are_needed(
    importer: GenaiImporter, settings: Settings, folder: Path
) -> None:
    (folder / "modeling.py").write_text("import os", "utf-8")
    manifest = bring(importer, wish(folder, languages=("en",))).manifest
    assert (manifest.id, manifest.name, manifest.kind, manifest.engine) == (
        "tiny-talker",
        "Tiny Talker",
        "chat",
        "genai",
    )
    assert (manifest.entry, manifest.context, manifest.size_class) == ("genai_config.json", 512, "small")
    assert (manifest.architecture, manifest.tools) == ("llama", None)
    assert set(manifest.files) == TAKEN
    for name in TAKEN:
        assert manifest.files[name].sha256 == hashlib.sha256((folder / name).read_bytes()).hexdigest()
    stored = settings.models / manifest.id
    verify_files(stored, manifest)
    assert Catalog(settings.models).get(manifest.id) == manifest
    assert leftovers(settings) == [manifest.id]
    assert {path.stat().st_mode & 0o777 for path in stored.iterdir()} == {0o600}
    spec = terms_of(manifest, stored, settings, LoadSettings(parallel=4)).spec
    assert (spec.engine, spec.parallel, spec.file) == ("genai", 1, stored / "genai_config.json")


def test_a_plan_says_what_it_is_and_takes(importer: GenaiImporter, settings: Settings, folder: Path) -> None:
    plan = importer.plan(wish(folder))
    assert (plan.config.architecture, plan.tokens, plan.has_template, plan.languages) == ("llama", 320, True, ("und",))
    assert plan.size == sum((folder / name).stat().st_size for name in TAKEN)
    assert plan.estimate.parallel == 1
    assert plan.estimate.cache == 512 * plan.config.cache_bytes_per_token
    assert leftovers(settings) == []


def test_its_cache_is_known_afterwards_too(importer: GenaiImporter, settings: Settings, folder: Path) -> None:
    manifest = bring(importer, wish(folder)).manifest
    header = Headers(Catalog(settings.models)).find(manifest)
    assert header is not None
    assert header.cache_bytes_per_token == 2 * 2 * 64 * 4


def test_a_template_of_its_own_comes_along(importer: GenaiImporter, folder: Path) -> None:
    rewrite(folder / "tokenizer_config.json", chat_template=None)
    assert not importer.plan(wish(folder)).has_template
    (folder / "chat_template.jinja").write_text("{{ messages }}", "utf-8")
    assert importer.plan(wish(folder)).has_template
    assert set(bring(importer, wish(folder)).manifest.files) == TAKEN | {"chat_template.jinja"}


def test_the_same_folder_twice_is_one_model_and_another_template_makes_another(
    importer: GenaiImporter, settings: Settings, folder: Path
) -> None:
    first = bring(importer, wish(folder))
    again = bring(importer, wish(folder))
    assert (again.is_new, again.manifest) == (False, first.manifest)
    rewrite(folder / "tokenizer_config.json", chat_template="{{ messages }}")
    assert bring(importer, wish(folder)).manifest.id == "tiny-talker-2"
    assert leftovers(settings) == ["tiny-talker", "tiny-talker-2"]


def test_a_link_shares_the_weights_only(importer: GenaiImporter, settings: Settings, folder: Path) -> None:
    manifest = bring(importer, wish(folder, link=True)).manifest
    stored = settings.models / manifest.id
    shared = {name for name in TAKEN if (stored / name).samefile(folder / name)}
    assert shared == {"model.onnx", "model.onnx.data"}


def test_a_folder_is_known_by_its_settings(folder: Path, tmp_path: Path) -> None:
    assert is_genai(str(folder))
    assert not is_genai(str(tmp_path))
    assert not is_genai(str(folder / "genai_config.json"))
    assert not is_genai("/\0")


# -- what is refused


def test_without_the_engine_nothing_is_imported_for_it(
    importer: GenaiImporter, settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(genai, "version", lambda: "")
    with pytest.raises(GenaiMissingError):
        importer.begin(wish(folder))
    assert leftovers(settings) == []


@pytest.mark.parametrize("more", [{"kind": "embedding"}, {"pooling": "cls"}, {"query_prefix": ""}])
def test_what_only_models_with_vectors_have_is_refused(
    importer: GenaiImporter, folder: Path, more: dict[str, Any]
) -> None:
    with pytest.raises(BadInputError):
        importer.plan(wish(folder, **more))


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data", "tokenizer.json", "tokenizer_config.json"])
def test_a_missing_file_is_named(importer: GenaiImporter, folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelFolderError) as caught:
        importer.plan(wish(folder))
    assert caught.value.params == {"name": "Tiny Talker", "file": name}


@pytest.mark.parametrize("name", sorted(TAKEN))
def test_links_in_the_folder_are_refused(importer: GenaiImporter, folder: Path, tmp_path: Path, name: str) -> None:
    (folder / name).rename(tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelPathError):
        importer.plan(wish(folder))


def settle(path: str, value: Any) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        said: Any = json.loads((folder / "genai_config.json").read_text("utf-8"))
        part = said
        *where, key = path.split(".")
        for name in where:
            part = part[name]
        part[key] = value
        (folder / "genai_config.json").write_text(json.dumps(said), "utf-8")

    return change


def location(name: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        model = onnx.load(folder / "model.onnx", load_external_data=False)
        for tensor in model.graph.initializer:
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = name
        (folder / "model.onnx").write_bytes(model.SerializeToString())

    return change


HOSTILE: dict[str, tuple[type[HakoError], Callable[[Path], object]]] = {
    "code": (ModelGenaiError, settle("model.decoder.session_options.custom_ops_library", "x.so")),
    "a graph elsewhere": (ModelGenaiError, settle("model.decoder.filename", "../model.onnx")),
    "pictures": (ModelGenaiError, settle("model.vision", {})),
    "not JSON": (ModelGenaiError, lambda folder: (folder / "genai_config.json").write_bytes(b"{")),
    "empty": (ModelGenaiError, lambda folder: (folder / "genai_config.json").write_bytes(b"")),
    "more layers": (ModelGenaiError, settle("model.decoder.num_hidden_layers", 3)),
    "fewer layers": (ModelGenaiError, settle("model.decoder.num_hidden_layers", 1)),
    "larger heads": (ModelGenaiError, settle("model.decoder.head_size", 128)),
    "more heads": (ModelGenaiError, settle("model.decoder.num_key_value_heads", 5)),
    "more words": (ModelGenaiError, settle("model.vocab_size", 321)),
    "fewer words": (ModelGenaiError, settle("model.vocab_size", 319)),
    "another input": (ModelGenaiError, settle("model.decoder.inputs.input_ids", "tokens")),
    "a graph of nothing": (ModelFileError, lambda folder: (folder / "model.onnx").write_bytes(b"\x08\x09")),
    "weights elsewhere": (ModelFileError, location("../model.onnx.data")),
    "weights in the settings": (ModelFileError, location("genai_config.json")),
    "weights in the manifest": (ModelFileError, location("model.json")),
    "too few weights": (ModelFileError, lambda folder: os.truncate(folder / "model.onnx.data", 5000)),
    "a vocabulary of nothing": (ModelFileError, lambda folder: (folder / "tokenizer.json").write_bytes(b"{}")),
    "words of nothing": (ModelFileError, lambda folder: (folder / "tokenizer_config.json").write_bytes(b"[]")),
    "a template of nothing": (ModelFileError, lambda folder: (folder / "chat_template.jinja").write_bytes(b"\xff")),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_does_not_fit_or_reaches_further_is_refused_without_a_trace(
    importer: GenaiImporter, settings: Settings, folder: Path, kind: str
) -> None:
    error, change = HOSTILE[kind]
    change(folder)
    with pytest.raises(error):
        importer.begin(wish(folder))
    assert leftovers(settings) == []


@pytest.mark.parametrize("name", ["genai_config.json", "tokenizer.json", "model.onnx.data"])
def test_a_folder_that_changes_meanwhile_is_refused(
    importer: GenaiImporter, settings: Settings, folder: Path, name: str
) -> None:
    with importer.begin(wish(folder)) as incoming:
        with (folder / name).open("ab") as file:
            file.write(b" ")
        with pytest.raises(ModelFileError):
            list(incoming.copy())
    assert leftovers(settings) == []
