"""Exported models against the same networks in numpy, what a box makes of them, and folders that are refused."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from appliance.bundle.export import likeness
from appliance.bundle.export.exporting import Export, Exported, Wish
from appliance.config import Settings
from appliance.errors import (
    ConflictError,
    ExportDamagedError,
    ExportFolderError,
    ExportUnlikeError,
    ExportUnsupportedError,
    HakoError,
    ModelFolderError,
)
from appliance.inference.engines import vocabularies
from appliance.inference.engines.onnx_embed import Embedder
from appliance.inference.engines.onnx_rerank import Reranker
from appliance.inference.engines.onnx_session import Session
from appliance.inference.engines.xlmr import Tokenizer
from appliance.inference.importing import Importer
from appliance.inference.load_settings import LoadSettings
from appliance.inference.manifest import Manifest
from appliance.inference.onnx_importing import FolderImporter, FolderWish
from appliance.inference.terms import terms_of
from tests.simulators.encoder import BERT_PIECES, Encoder, bert, safetensors

IDS = [[0, 5, 6, 7, 2], [0, 9, 2], [0, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 2]]
DOCUMENTS = ["が", "ab c 東京", "", "c ab が", "東京 a"]


def wish(folder: Path, **more: Any) -> Wish:
    said: dict[str, Any] = {"out": folder.with_name("out"), "licence": "MIT", **more}
    return Wish(folder=folder, **said)


def export(wanted: Wish, **more: Any) -> Exported:
    with Export(wanted, **more) as opened:
        return opened.write()


def run(graph: Path, texts: list[list[int]], types: list[list[int]] | None = None) -> NDArray[np.float32]:
    """What comes out for all texts in one batch, padded to the longest."""
    onnx.checker.check_model(str(graph))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    width = max(map(len, texts))
    ids, mask, kinds = (np.zeros((len(texts), width), np.int64) for _ in range(3))
    for row, text in enumerate(texts):
        ids[row, : len(text)] = text
        mask[row, : len(text)] = 1
        kinds[row, : len(text)] = types[row] if types else 0
    feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": kinds}
    result: NDArray[np.float32] = session.run(None, {each.name: feeds[each.name] for each in session.get_inputs()})[0]
    return result


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths: NDArray[np.float32] = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / lengths


def rewrite(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), "utf-8")


def says_pooling(folder: Path, place: str = "1_Pooling", **modes: bool) -> None:
    (folder / place).mkdir()
    said = {f"pooling_mode_{name}": value for name, value in modes.items()}
    (folder / place / "config.json").write_text(json.dumps(said), "utf-8")


# -- what is computed


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("family", ["bert", "xlm-roberta"])
@pytest.mark.parametrize("quantise", ["none", "int8"])
def test_vectors_are_what_the_weights_mean(tmp_path: Path, family: str, kind: str, quantise: str) -> None:
    network = Encoder(family, types=2 if family == "bert" else 1, kind=kind)
    done = export(wish(network.write(tmp_path / "m", wordpiece=True), quantise=quantise))
    got = unit(run(tmp_path / "out" / "model.onnx", IDS))
    wanted = np.stack([network.embed(ids) for ids in IDS])
    if quantise == "none":
        assert done.cosine is None
        np.testing.assert_allclose(got, wanted, atol=2e-5)
    else:
        assert done.cosine is not None
        assert done.cosine >= 0.99
        assert (got * wanted).sum(axis=1).min() > 0.999


@pytest.mark.parametrize("activation", ["gelu_new", "relu"])
def test_other_activations_and_the_first_tokens_vector(tmp_path: Path, activation: str) -> None:
    network = Encoder(activation=activation)
    folder = network.write(tmp_path / "m", wordpiece=True)
    says_pooling(folder, cls_token=True, mean_tokens=False)
    export(wish(folder, quantise="none"))
    wanted = np.stack([network.embed(ids, "cls") for ids in IDS])
    np.testing.assert_allclose(unit(run(tmp_path / "out" / "model.onnx", IDS)), wanted, atol=2e-5)


@pytest.mark.parametrize("quantise", ["none", "int8"])
def test_a_rerankers_scores_are_what_the_weights_mean(tmp_path: Path, quantise: str) -> None:
    network = Encoder(labels=1, seed=5)
    export(wish(network.write(tmp_path / "m", wordpiece=True), quantise=quantise))
    wanted = np.stack([network.score(ids) for ids in IDS])
    assert wanted.std() > 0.1  # else it would prove nothing
    tolerance = 2e-5 if quantise == "none" else 0.15
    np.testing.assert_allclose(run(tmp_path / "out" / "model.onnx", IDS), wanted, atol=tolerance)


def test_a_bert_reranker_is_told_which_text_a_token_is_of(tmp_path: Path) -> None:
    network = Encoder("bert", labels=1, types=2, positions=64)
    folder = network.write(tmp_path / "m", wordpiece=True)
    export(wish(folder, quantise="none"))
    types = [[0, 0, 1, 1, 1], [0, 1, 1], [0] * 6 + [1] * 6]
    wanted = np.stack([network.score(ids, own) for ids, own in zip(IDS, types, strict=True)])
    np.testing.assert_allclose(run(tmp_path / "out" / "model.onnx", IDS, types), wanted, atol=2e-5)
    assert np.abs(run(tmp_path / "out" / "model.onnx", IDS) - wanted).max() > 0.01


def test_several_files_very_old_names_and_a_file_beside_make_the_same_vectors(tmp_path: Path) -> None:
    network = Encoder("bert", types=2)
    for name in [name for name in network.tensors if "LayerNorm" in name]:
        own = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        network.tensors[own] = network.tensors.pop(name)
    done = export(wish(network.write(tmp_path / "m", shards=3), quantise="none", pooling="cls"), inside_bytes=0)
    out = tmp_path / "out"
    assert (out / "model.onnx_data").stat().st_size > 4 * (network.rows + network.positions) * network.hidden
    own = json.loads((out / "model.json").read_text("utf-8"))
    assert ("model.onnx_data" in own["files"], own["pooling"]) == (True, "cls")
    assert done.size == sum(path.stat().st_size for path in out.iterdir())
    wanted = np.stack([network.embed(ids, "cls") for ids in IDS])
    np.testing.assert_allclose(unit(run(out / "model.onnx", IDS)), wanted, atol=2e-5)


def test_the_same_folder_makes_the_same_bytes(tmp_path: Path) -> None:
    whole, beside = Encoder().write(tmp_path / "m", shards=2), Encoder().write(tmp_path / "w", wordpiece=True)
    for place in ("one", "two"):
        export(wish(whole, out=tmp_path / place / "model"))
        export(wish(beside, out=tmp_path / place / "beside"), inside_bytes=0)
    one, two = (
        {path.relative_to(tmp_path / place): path.read_bytes() for path in (tmp_path / place).glob("*/*")}
        for place in ("one", "two")
    )
    assert Path("beside/model.onnx_data") in one
    assert one == two


# -- what a box makes of it


def test_a_box_imports_it_with_licence_source_and_recorded_vectors(tmp_path: Path) -> None:
    network = Encoder()
    folder = network.write(tmp_path / "m")
    (folder / "LICENSE").write_text("MIT License\n", "utf-8")
    (folder / "model.bin").write_bytes(b"something else")
    done = export(wish(folder, out=tmp_path / "Tiny E5", source="example/tiny", languages=("ja",), query_prefix="q: "))
    out = tmp_path / "Tiny E5"
    assert done.model == "tiny-e5"
    assert {path.name for path in out.iterdir()} == {
        "LICENSE", "config.json", "model.json", "model.onnx", "reference.json", "sentencepiece.model", "tokenizer.json",
    }  # fmt: skip
    own = json.loads((out / "model.json").read_text("utf-8"))
    assert own["pooling"] == "mean"
    assert (own["licence"], own["source"], own["languages"]) == ("MIT", "example/tiny", ["ja"])
    assert (own["query_prefix"], own["passage_prefix"], own["context"]) == ("q: ", "passage: ", 512)

    settings = Settings(data_dir=tmp_path / "box")
    importer = FolderImporter(settings, Importer(settings, lambda _name: False))
    brought = FolderWish(path=str(out), licence="MIT", source="example/tiny", languages=("ja",), query_prefix="q: ")
    with importer.begin(brought) as incoming:
        list(incoming.copy())
        manifest = incoming.finish().manifest
    assert manifest.model_dump(mode="json") == own
    stored = settings.models / manifest.id
    assert (stored / "reference.json").read_bytes() == (out / "reference.json").read_bytes()

    spec = terms_of(manifest, stored, settings, LoadSettings()).spec
    tokenizer = Tokenizer(stored / "sentencepiece.model")
    vectors, _tokens = Embedder(Session(spec), tokenizer, spec.context).embed(likeness.TEXTS, truncate=True)
    wanted = np.stack([network.embed(ids) for ids in tokenizer.encode(likeness.TEXTS)])
    assert (vectors * wanted).sum(axis=1).min() > 0.999
    recorded = json.loads((out / "reference.json").read_text("utf-8"))["texts"]
    assert [entry["text"] for entry in recorded] == list(likeness.TEXTS)
    np.testing.assert_allclose([entry["vector"] for entry in recorded], wanted, atol=1e-4)


def test_a_box_reranks_with_it(tmp_path: Path) -> None:
    network = Encoder(labels=1, seed=5)
    assert export(wish(network.write(tmp_path / "m"), out=tmp_path / "ranker", quantise="none")).model == "ranker"
    settings = Settings(data_dir=tmp_path / "box")
    importer = FolderImporter(settings, Importer(settings, lambda _name: False))
    with importer.begin(FolderWish(path=str(tmp_path / "ranker"), licence="MIT")) as incoming:
        list(incoming.copy())
        manifest = incoming.finish().manifest
    assert manifest.kind == "reranker"
    stored = settings.models / manifest.id
    spec = terms_of(manifest, stored, settings, LoadSettings()).spec
    tokenizer = Tokenizer(stored / "sentencepiece.model")
    scores, _tokens = Reranker(Session(spec), tokenizer, spec.context).rerank(
        "a東京", DOCUMENTS, raw=True, stopped=lambda: False
    )
    asked, *read = tokenizer.pieces(["a東京", *DOCUMENTS])
    wanted = [network.score(tokenizer.pair(asked, ids, spec.context))[0] for ids in read]
    np.testing.assert_allclose(scores, wanted, atol=2e-5)


def imported(folder: Path, tmp_path: Path) -> tuple[Path, Manifest]:
    """What a box makes of the folder, and where."""
    settings = Settings(data_dir=tmp_path / "box")
    importer = FolderImporter(settings, Importer(settings, lambda _name: False))
    with importer.begin(FolderWish(path=str(folder), licence="MIT")) as incoming:
        list(incoming.copy())
        manifest = incoming.finish().manifest
    return settings.models / manifest.id, manifest


def bert_network(labels: int = 0) -> Encoder:
    return Encoder("bert", labels=labels, types=2, positions=64, rows=len(BERT_PIECES), seed=5)


@pytest.mark.parametrize("older", [False, True])
def test_a_box_embeds_with_berts_vocabulary_out_of_new_and_older_files(tmp_path: Path, older: bool) -> None:
    network = bert_network()
    done = export(wish(network.write(tmp_path / "m", vocabulary=bert(BERT_PIECES)), quantise="none"))
    out = tmp_path / "out"
    assert done.model == "out"
    assert (out / "wordpiece.json").exists()
    if older:
        (out / "tokenizer.json").unlink()
        (out / "vocab.txt").write_text("".join(f"{piece}\n" for piece in BERT_PIECES), "utf-8")
        with pytest.raises(ModelFolderError) as refused:
            imported(out, tmp_path)
        assert refused.value.params["file"] == "tokenizer_config.json"
        (out / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}', "utf-8")
    stored, manifest = imported(out, tmp_path)
    own = {"vocab.txt", "tokenizer_config.json"} if older else {"tokenizer.json"}
    assert set(manifest.files) == {"model.onnx", "config.json", "wordpiece.json"} | own
    spec = terms_of(manifest, stored, Settings(data_dir=tmp_path / "box"), LoadSettings()).spec
    tokenizer = vocabularies.opened(stored)
    vectors, _tokens = Embedder(Session(spec), tokenizer, spec.context).embed(likeness.TEXTS, truncate=True)
    encoded = [tokenizer.truncate(ids, spec.context) for ids in tokenizer.encode(likeness.TEXTS)]
    np.testing.assert_allclose(vectors, np.stack([network.embed(ids) for ids in encoded]), atol=2e-5)


def test_a_box_reranks_with_berts_vocabulary_and_both_types(tmp_path: Path) -> None:
    network = bert_network(labels=1)
    export(wish(network.write(tmp_path / "m", vocabulary=bert(BERT_PIECES)), quantise="none"))
    stored, manifest = imported(tmp_path / "out", tmp_path)
    spec = terms_of(manifest, stored, Settings(data_dir=tmp_path / "box"), LoadSettings()).spec
    tokenizer = vocabularies.opened(stored)
    documents = ["東京は日本の首都", "the capital", "", "a b c", "東京"]
    scores, _tokens = Reranker(Session(spec), tokenizer, spec.context).rerank(
        "日本の首都は?", documents, raw=True, stopped=lambda: False
    )
    asked, *read = tokenizer.pieces(["日本の首都は?", *documents])
    pairs = [tokenizer.pair(asked, ids, spec.context) for ids in read]
    wanted = [network.score(pair, tokenizer.types(pair))[0] for pair in pairs]
    np.testing.assert_allclose(scores, wanted, atol=2e-5)
    assert np.abs(np.array(wanted) - [network.score(pair)[0] for pair in pairs]).max() > 1e-3, "types count"


def test_a_vocabulary_that_the_box_does_not_read_is_told_before_anything_is_written(tmp_path: Path) -> None:
    network = Encoder("bert", types=2, positions=64)
    with Export(wish(network.write(tmp_path / "m", wordpiece=True))) as opened:
        assert not opened.can_be_imported  # it doesn't say how texts are cut
        assert not (tmp_path / "out").exists()
        done = opened.write()
    assert done.model == ""
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"config.json", "model.onnx", "tokenizer.json"}


def test_a_person_can_say_what_it_is(tmp_path: Path) -> None:
    one = Encoder(labels=1, seed=5).write(tmp_path / "one")
    with Export(wish(one)) as opened:
        assert (opened.kind, opened.pooling) == ("reranker", None)
    with Export(wish(one, kind="embedding", pooling="cls")) as opened:
        assert (opened.kind, opened.pooling) == ("embedding", "cls")
    two = Encoder(labels=2).write(tmp_path / "two")
    with Export(wish(two, kind="reranker")) as opened:
        assert opened.kind == "reranker"
    for folder, kind in ((two, None), (Encoder(labels=5).write(tmp_path / "five"), "reranker"),
                         (Encoder().write(tmp_path / "none"), "reranker")):  # fmt: skip
        with pytest.raises(ExportUnsupportedError):
            Export(wish(folder, kind=kind))


def test_modules_say_where_the_pooling_is_and_that_nothing_follows(tmp_path: Path) -> None:
    folder = Encoder().write(tmp_path / "m")
    says_pooling(folder, "2_Pooling", cls_token=True, mean_tokens=False)
    kinds = {"": "Transformer", "2_Pooling": "Pooling", "3_Normalize": "Normalize"}
    modules = [{"type": f"sentence_transformers.models.{kind}", "path": path} for path, kind in kinds.items()]
    (folder / "modules.json").write_text(json.dumps(modules), "utf-8")
    with Export(wish(folder)) as opened:
        assert opened.pooling == "cls"
    modules.append({"type": "sentence_transformers.models.Dense", "path": "4_Dense"})
    (folder / "modules.json").write_text(json.dumps(modules), "utf-8")
    with pytest.raises(ExportUnsupportedError):
        Export(wish(folder))


# -- refused


def test_integers_that_answer_otherwise_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    folder = Encoder(labels=1, seed=3).write(tmp_path / "m")  # all pairs score about the same, so rounding decides
    with pytest.raises(ExportUnlikeError) as caught:
        export(wish(folder))
    assert float(str(caught.value.params["cosine"])) < 0.99
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    assert export(wish(folder, quantise="none")).cosine is None


def test_nothing_that_is_there_is_written_over(tmp_path: Path) -> None:
    folder = Encoder().write(tmp_path / "m", wordpiece=True)
    (tmp_path / "out").mkdir()
    with pytest.raises(ConflictError):
        Export(wish(folder))
    (tmp_path / "out").rmdir()
    with Export(wish(folder)) as opened:
        (tmp_path / "out").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(ConflictError):
            opened.write()
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_missing_file_is_named_and_a_link_is_none(tmp_path: Path, name: str) -> None:
    folder = Encoder().write(tmp_path / "m")
    moved = (folder / name).rename(tmp_path / "moved")
    for spoil in (lambda _path: None, lambda path: path.symlink_to(moved), os.mkfifo):
        spoil(folder / name)
        with pytest.raises(ExportFolderError) as caught:
            Export(wish(folder))
        assert caught.value.params == {"name": "m", "file": name}
        (folder / name).unlink(missing_ok=True)


def drop(network: Encoder, folder: Path, tensor: str) -> None:
    del network.tensors[tensor]
    (folder / "model.safetensors").write_bytes(safetensors(network.tensors))


def add(network: Encoder, folder: Path, tensor: str) -> None:
    network.tensors[tensor] = np.zeros(4, np.float32)
    (folder / "model.safetensors").write_bytes(safetensors(network.tensors))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda _, folder: (folder / "model.safetensors").write_bytes(b"\x80\x04cposix\n"), ExportDamagedError),
        (lambda _, folder: os.truncate(folder / "model.safetensors", 9000), ExportDamagedError),
        (lambda _, folder: (folder / "config.json").write_text("{"), ExportDamagedError),
        (lambda _, folder: os.truncate(folder / "config.json", 2 << 20), ExportDamagedError),
        (lambda _, folder: (folder / "tokenizer.json").write_text("{"), ExportDamagedError),
        (lambda _, folder: rewrite(folder / "config.json", num_hidden_layers=1 << 40), ExportDamagedError),
        (lambda _, folder: rewrite(folder / "config.json", hidden_size="32"), ExportDamagedError),
        (lambda _, folder: rewrite(folder / "config.json", layer_norm_eps=float("nan")), ExportDamagedError),
        (lambda _, folder: rewrite(folder / "config.json", intermediate_size=128), ExportDamagedError),
        (lambda _, folder: rewrite(folder / "config.json", num_hidden_layers=3), ExportDamagedError),
        (lambda _, folder: rewrite(folder / "config.json", num_hidden_layers=1), ExportUnsupportedError),
        (lambda _, folder: rewrite(folder / "config.json", num_attention_heads=5), ExportUnsupportedError),
        (lambda _, folder: rewrite(folder / "config.json", model_type="modernbert"), ExportUnsupportedError),
        (lambda _, folder: rewrite(folder / "config.json", hidden_act="silu"), ExportUnsupportedError),
        (lambda _, folder: rewrite(folder / "config.json", is_decoder=True), ExportUnsupportedError),
        (lambda _, folder: rewrite(folder / "config.json", pad_token_id=900), ExportUnsupportedError),
        (lambda _, folder: rewrite(folder / "config.json", vocab_size=15), ExportUnsupportedError),
        (lambda _, folder: says_pooling(folder, max_tokens=True), ExportUnsupportedError),
        (lambda network, folder: drop(network, folder, "encoder.layer.1.output.dense.bias"), ExportDamagedError),
        (lambda network, folder: drop(network, folder, "embeddings.word_embeddings.weight"), ExportUnsupportedError),
        (lambda network, folder: add(network, folder, "encoder.layer.0.adapter.weight"), ExportUnsupportedError),
    ],
    ids=range(21),
)
def test_a_hostile_folder_is_one_error_and_leaves_nothing(
    tmp_path: Path, change: Callable[[Encoder, Path], object], error: type[HakoError]
) -> None:
    network = Encoder()
    folder = network.write(tmp_path / "m")
    change(network, folder)
    with pytest.raises(error) as caught:
        export(wish(folder))
    assert type(caught.value) is error
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_an_index_that_says_something_else_than_the_files_is_refused(tmp_path: Path) -> None:
    folder = Encoder().write(tmp_path / "m", shards=2)
    index = folder / "model.safetensors.index.json"
    where = json.loads(index.read_text("utf-8"))["weight_map"]
    rewrite(index, weight_map={**where, "encoder.layer.9.output.dense.bias": min(where.values())})
    with pytest.raises(ExportDamagedError):
        Export(wish(folder))
    (folder / max(where.values())).unlink()
    with pytest.raises(ExportFolderError):
        Export(wish(folder))
