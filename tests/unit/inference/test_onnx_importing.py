"""Folders of ONNX models: what becomes of them, that they then compute, and hostile ones refused without a trace."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from appliance.config import Settings
from appliance.errors import (
    BadInputError,
    ConflictError,
    HakoError,
    ModelFileError,
    ModelFolderError,
    ModelFormatError,
    ModelKindUnclearError,
    ModelPathError,
    ModelRoleError,
    ModelVocabularyError,
)
from appliance.inference.catalog import Catalog
from appliance.inference.engines.onnx_embed import Embedder
from appliance.inference.engines.onnx_rerank import Reranker
from appliance.inference.engines.onnx_session import Session
from appliance.inference.engines.xlmr import Tokenizer
from appliance.inference.importing import Imported, Importer
from appliance.inference.incoming_folder import is_folder
from appliance.inference.load_settings import LoadSettings
from appliance.inference.manifest import Manifest
from appliance.inference.onnx_importing import FolderImporter, FolderWish, IncomingOnnx
from appliance.inference.terms import terms_of
from appliance.inference.verify import verify_files
from tests.simulators import hugging_face

TEXTS = ["a東京", "ab c が", "か\u3099 a", "b"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


@pytest.fixture
def importer(settings: Settings) -> FolderImporter:
    return FolderImporter(settings, Importer(settings, lambda _name: False))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return hugging_face.embedder(tmp_path / "Tiny E5")


def wish(path: Path | str, **more: Any) -> FolderWish:
    return FolderWish(path=str(path), licence="MIT", **more)


def bring(importer: FolderImporter, wanted: FolderWish) -> Imported:
    with importer.begin(wanted) as incoming:
        assert list(incoming.copy())[-1] == incoming.plan.size
        return incoming.finish()


def leftovers(settings: Settings) -> list[str]:
    return sorted(path.name for path in settings.models.glob("*")) if settings.models.exists() else []


def vectors(folder: Path, manifest: Manifest, settings: Settings) -> np.ndarray:
    spec = terms_of(manifest, folder, settings, LoadSettings()).spec
    tokenizer = Tokenizer(folder / "sentencepiece.model")
    embedder = Embedder(Session(spec), tokenizer, spec.context, first=spec.pooling == "cls")
    return embedder.embed(TEXTS, truncate=True)[0]


def rewrite(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), "utf-8")


def with_weights_outside(folder: Path, location: str = "model.onnx_data") -> Path:
    made = onnx.load(str(folder / "model.onnx"))
    onnx.save_model(made, str(folder / "model.onnx"), save_as_external_data=True, location=location, size_threshold=256)
    return folder


# -- what becomes of them


def test_a_folder_becomes_a_model_whose_vectors_are_those_of_the_original(
    importer: FolderImporter, settings: Settings, folder: Path
) -> None:
    imported = bring(importer, wish(folder, languages=("ja",)))
    manifest = imported.manifest
    assert (imported.is_new, manifest.id, manifest.name) == (True, "tiny-e5", "Tiny E5")
    assert (manifest.kind, manifest.engine, manifest.entry) == ("embedding", "onnx", "model.onnx")
    assert (manifest.dimensions, manifest.context, manifest.languages) == (32, 16, ("ja",))
    assert (manifest.query_prefix, manifest.passage_prefix, manifest.pooling) == ("query: ", "passage: ", "mean")
    assert set(manifest.files) == {"model.onnx", "tokenizer.json", "config.json", "sentencepiece.model"}
    for name in ("model.onnx", "tokenizer.json", "config.json"):
        assert manifest.files[name].sha256 == hashlib.sha256((folder / name).read_bytes()).hexdigest()
    stored = settings.models / "tiny-e5"
    verify_files(stored, manifest)
    assert Catalog(settings.models).get("tiny-e5") == manifest
    assert leftovers(settings) == ["tiny-e5"]
    assert {path.stat().st_mode & 0o777 for path in stored.iterdir()} == {0o600}
    built = folder.with_name("Tiny E5.built")
    np.testing.assert_array_equal(vectors(stored, manifest, settings), vectors(built, manifest, settings))


def test_a_reranker_is_known_by_its_output_and_scores(
    importer: FolderImporter, settings: Settings, tmp_path: Path
) -> None:
    manifest = bring(importer, wish(hugging_face.reranker(tmp_path / "ranker"))).manifest
    assert (manifest.kind, manifest.context, manifest.dimensions) == ("reranker", 512, None)
    assert (manifest.query_prefix, manifest.passage_prefix) == ("", "")
    stored = settings.models / manifest.id
    spec = terms_of(manifest, stored, settings, LoadSettings()).spec
    model = Reranker(Session(spec), Tokenizer(stored / "sentencepiece.model"), spec.context)
    model.check()
    scores, _tokens = model.rerank("a東京", TEXTS, raw=True, stopped=lambda: False)
    assert len(set(scores)) == len(TEXTS)


def test_weights_in_a_file_beside_the_graph_come_with_it(
    importer: FolderImporter, settings: Settings, folder: Path
) -> None:
    built = folder.with_name("Tiny E5.built")
    manifest = bring(importer, wish(with_weights_outside(folder))).manifest
    assert "model.onnx_data" in manifest.files
    stored = settings.models / manifest.id
    np.testing.assert_array_equal(vectors(stored, manifest, settings), vectors(built, manifest, settings))


def test_the_first_tokens_vector_is_taken_where_the_folder_says_so(
    importer: FolderImporter, settings: Settings, folder: Path
) -> None:
    (folder / "1_Pooling").mkdir()
    said = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": False}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(said), "utf-8")
    assert importer.plan(wish(folder, pooling="mean")).pooling == "mean"
    manifest = bring(importer, wish(folder)).manifest
    assert manifest.pooling == "cls"
    stored = settings.models / manifest.id
    found = vectors(stored, manifest, settings)
    spec = terms_of(manifest, stored, settings, LoadSettings()).spec
    hidden, _mask = Session(spec).run([Tokenizer(stored / "sentencepiece.model").encode(TEXTS[:1])[0]])
    np.testing.assert_allclose(found[0], hidden[0, 0] / np.linalg.norm(hidden[0, 0]), atol=1e-4)
    rewrite(folder / "1_Pooling" / "config.json", pooling_mode_cls_token=False, pooling_mode_max_tokens=True)
    with pytest.raises(ModelRoleError):
        importer.plan(wish(folder))


def test_what_a_person_says_goes_before_what_is_guessed(importer: FolderImporter, folder: Path) -> None:
    plan = importer.plan(wish(folder, query_prefix="", passage_prefix="text: ", name="小さな埋め込み"))
    assert (plan.query_prefix, plan.passage_prefix, plan.name) == ("", "text: ", "小さな埋め込み")
    other = folder.rename(folder.with_name("other"))
    assert importer.plan(wish(other)).query_prefix == ""
    assert importer.plan(wish(other)).languages == ("und",)


def test_recorded_vectors_come_along_beside_the_models_own_files(
    importer: FolderImporter, settings: Settings, folder: Path
) -> None:
    (folder / "reference.json").write_text('{"texts": []}', "utf-8")
    manifest = bring(importer, wish(folder)).manifest
    assert (settings.models / manifest.id / "reference.json").read_text("utf-8") == '{"texts": []}'
    assert "reference.json" not in manifest.files
    os.truncate(folder / "reference.json", (4 << 20) + 1)
    with pytest.raises(ModelFileError):
        importer.plan(wish(folder))


def test_a_look_writes_nothing(importer: FolderImporter, settings: Settings, folder: Path) -> None:
    plan = importer.plan(wish(folder))
    assert (plan.model, plan.role.kind, plan.estimate.cache) == ("tiny-e5", "embedding", 0)
    assert plan.size == sum(path.stat().st_size for path in folder.iterdir())
    assert not settings.models.exists()


def test_a_link_shares_the_weights_only(importer: FolderImporter, settings: Settings, folder: Path) -> None:
    manifest = bring(importer, wish(folder, link=True)).manifest
    stored = settings.models / manifest.id
    assert (stored / "model.onnx").samefile(folder / "model.onnx")
    assert not (stored / "tokenizer.json").samefile(folder / "tokenizer.json")


def test_a_link_that_can_not_be_is_refused_and_leaves_nothing(
    importer: FolderImporter, settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_device(*_paths: object, **_more: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", other_device)
    with pytest.raises(BadInputError), importer.begin(wish(folder, link=True)) as incoming:
        list(incoming.copy())
    assert leftovers(settings) == []


def test_the_same_bytes_used_in_the_same_way_are_said_to_be_there_already(
    importer: FolderImporter, settings: Settings, folder: Path
) -> None:
    first = bring(importer, wish(folder)).manifest
    again = bring(importer, wish(folder, name="another name"))
    assert (again.is_new, again.manifest) == (False, first)
    assert bring(importer, wish(folder, query_prefix="")).manifest.id == "tiny-e5-2"
    assert leftovers(settings) == ["tiny-e5", "tiny-e5-2"]


def test_a_graph_of_another_name_is_taken_if_it_is_the_only_one(importer: FolderImporter, folder: Path) -> None:
    (folder / "model.onnx").rename(folder / "model_quantized.onnx")
    assert importer.plan(wish(folder)).role.dimensions == 32
    shutil.copyfile(folder / "model_quantized.onnx", folder / "model_other.onnx")
    with pytest.raises(ModelFolderError):
        importer.plan(wish(folder))


def test_outputs_of_no_known_name_want_a_person_to_say_what_they_are(importer: FolderImporter, folder: Path) -> None:
    made = onnx.load(str(folder / "model.onnx"))
    made.graph.output[0].name = made.graph.node[-1].output[0] = "out"
    onnx.save_model(made, str(folder / "model.onnx"))
    with pytest.raises(ModelKindUnclearError):
        importer.plan(wish(folder))
    assert importer.plan(wish(folder, kind="embedding")).role.dimensions == 32
    with pytest.raises(ModelRoleError):
        importer.plan(wish(folder, kind="reranker"))


# -- refused


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "config.json"])
def test_a_missing_file_is_named_and_a_link_is_no_file(
    importer: FolderImporter, settings: Settings, folder: Path, name: str
) -> None:
    moved = (folder / name).rename(folder.with_name("moved"))
    with pytest.raises(ModelFolderError) as missing:
        importer.begin(wish(folder))
    assert missing.value.params == {"name": "Tiny E5", "file": name}
    for spoil in (
        lambda path: path.symlink_to(moved),
        lambda path: path.symlink_to("/dev/zero"),
        os.mkfifo,
        lambda path: path.mkdir(),
    ):
        spoil(folder / name)
        with pytest.raises(ModelPathError) as refused:
            importer.begin(wish(folder))
        assert refused.value.params == {"name": name}
        (folder / name).rmdir() if (folder / name).is_dir() else (folder / name).unlink()
    assert leftovers(settings) == []


def test_a_link_to_a_folder_and_paths_that_wander_are_refused(importer: FolderImporter, folder: Path) -> None:
    link = folder.with_name("link")
    link.symlink_to(folder)
    assert not is_folder(str(link))
    assert not is_folder("a\0b")
    assert is_folder(str(folder))
    for path in (link, f"{folder}/../Tiny E5", "relative", "/a\0b", folder / "model.onnx"):
        with pytest.raises(ModelPathError):
            importer.plan(wish(path))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda folder: (folder / "model.onnx").write_bytes(b"PK\x03\x04" + bytes(99)), ModelFormatError),
        (lambda folder: (folder / "model.onnx").write_bytes(b"\x80\x04cposix\nsystem\n"), ModelFormatError),
        (lambda folder: (folder / "model.onnx").write_bytes(b""), ModelFileError),
        (lambda folder: os.truncate(folder / "model.onnx", 9000), ModelFileError),
        (lambda folder: (folder / "config.json").write_text("{"), ModelFileError),
        (lambda folder: (folder / "config.json").write_bytes(bytes(2 << 20)), ModelFileError),
        (lambda folder: os.truncate(folder / "tokenizer.json", 65 << 20), ModelFileError),
        (lambda folder: rewrite(folder / "config.json", max_position_embeddings=2**31), ModelFileError),
        (lambda folder: rewrite(folder / "config.json", max_position_embeddings=None), ModelFileError),
        (lambda folder: rewrite(folder / "config.json", model_type="../../x"), ModelFileError),
        (lambda folder: rewrite(folder / "config.json", hidden_size=64), ModelRoleError),
        (lambda folder: rewrite(folder / "config.json", vocab_size=15), ModelVocabularyError),
        (lambda folder: rewrite(folder / "tokenizer.json", model={"type": "BPE", "vocab": {}}), ModelVocabularyError),
    ],
    ids=range(13),
)
def test_a_hostile_folder_is_one_error_and_leaves_nothing(
    importer: FolderImporter,
    settings: Settings,
    folder: Path,
    change: Callable[[Path], object],
    error: type[HakoError],
) -> None:
    change(folder)
    with pytest.raises(error) as caught:
        importer.begin(wish(folder))
    assert type(caught.value) is error
    assert "ended" not in caught.value.detail
    assert leftovers(settings) == []


def test_a_classifier_of_many_labels_is_refused(importer: FolderImporter, tmp_path: Path) -> None:
    with pytest.raises(ModelRoleError):
        importer.plan(wish(hugging_face.reranker(tmp_path / "many", labels=5)))


def test_weights_that_lie_outside_of_their_file_or_take_a_name_of_the_store_are_refused(
    importer: FolderImporter, folder: Path
) -> None:
    with_weights_outside(folder)
    os.truncate(folder / "model.onnx_data", 100)
    with pytest.raises(ModelFileError):
        importer.plan(wish(folder))
    (folder / "model.onnx_data").unlink()
    with pytest.raises(ModelFolderError):
        importer.plan(wish(folder))


def test_weights_in_a_file_that_means_something_in_the_store_are_refused(
    importer: FolderImporter, folder: Path
) -> None:
    with_weights_outside(folder, "model.json")
    with pytest.raises(ModelFileError):
        importer.plan(wish(folder))


def test_a_folder_that_changes_meanwhile_is_refused(importer: FolderImporter, settings: Settings, folder: Path) -> None:
    whole = (folder / "model.onnx").stat().st_size
    with importer.begin(wish(folder)) as incoming:
        with (folder / "model.onnx").open("ab") as file:
            file.write(bytes(10))
        with pytest.raises(ModelFileError):
            list(incoming.copy())
    os.truncate(folder / "model.onnx", whole)
    with importer.begin(wish(folder)) as incoming:
        size = (folder / "config.json").stat().st_size
        said = json.dumps(hugging_face.config(max_position_embeddings=12))
        (folder / "config.json").write_text(said.ljust(size)[:size], "utf-8")
        list(incoming.copy())
        with pytest.raises(ModelFileError):
            incoming.finish()
    assert leftovers(settings) == []


def test_leaving_in_the_middle_leaves_nothing(importer: FolderImporter, settings: Settings, folder: Path) -> None:
    incoming = importer.begin(wish(folder))
    next(incoming.copy())
    assert leftovers(settings) == ["tiny-e5.incoming"]
    incoming.close()
    incoming.close()
    assert leftovers(settings) == []


def test_the_folder_of_another_import_is_never_taken(
    importer: FolderImporter, settings: Settings, folder: Path
) -> None:
    with importer.begin(wish(folder)) as first, pytest.raises(ConflictError):
        IncomingOnnx(Catalog(settings.models), settings.models, first._source, wish(folder), first.plan)
