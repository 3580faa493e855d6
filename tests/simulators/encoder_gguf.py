"""Embedding models as GGUF files of BERT's kind: the starter model's own weights, and small random ones."""

import atexit
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import sentencepiece
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from sentencepiece import sentencepiece_model_pb2 as protobuf

from tests.simulators import gguf
from tests.simulators.encoder import BERT_PIECES, Encoder
from tests.simulators.gguf import ARRAY, F32, I32, Tensor, Value

_NORMAL, _UNKNOWN, _CONTROL = 1, 2, 3
_Q4_0, _BLOCK = 2, 32

_OF_ENCODER = {
    "attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output", "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up", "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm",
}  # fmt: skip
_OF_STARTER = {
    "q": "attn_q", "k": "attn_k", "v": "attn_v", "ao": "attn_output", "aln": "attn_output_norm", "fi": "ffn_up",
    "fo": "ffn_down", "oln": "layer_output_norm",
}  # fmt: skip


def small(path: Path, *, pooling: int | None = 1, **changes: Any) -> Encoder:
    """A file with random weights; what it computes is in what is returned. `changes` are those of its entries."""
    network = Encoder("bert", rows=len(BERT_PIECES), positions=64, types=2)
    said = _entries(network.hidden, network.layers, network.heads, network.forward, network.positions, pooling)
    said |= {
        "general.name": "Small Bert",
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.tokens": [_phantom(piece) for piece in BERT_PIECES],
        "tokenizer.ggml.token_type": _integers(_CONTROL if piece[0] == "[" else _NORMAL for piece in BERT_PIECES),
        "tokenizer.ggml.token_type_count": network.types,
        "tokenizer.ggml.bos_token_id": BERT_PIECES.index("[CLS]"),
        "tokenizer.ggml.seperator_token_id": BERT_PIECES.index("[SEP]"),  # spelt so in the format
        "tokenizer.ggml.unknown_token_id": BERT_PIECES.index("[UNK]"),
        "tokenizer.ggml.padding_token_id": 0,
    }
    said |= {key.replace("__", "."): value for key, value in changes.items()}
    parts = [
        *_both("token_embd", network, "embeddings.word_embeddings"),
        *_both("position_embd", network, "embeddings.position_embeddings"),
        *_both("token_types", network, "embeddings.token_type_embeddings"),
        *_both("token_embd_norm", network, "embeddings.LayerNorm"),
    ]
    for layer in range(network.layers):
        for theirs, ours in _OF_ENCODER.items():
            parts += _both(f"blk.{layer}.{ours}", network, f"encoder.layer.{layer}.{theirs}")
    path.write_bytes(gguf.build({key: value for key, value in said.items() if value is not None}, parts))
    return network


def of_starter(folder: Path, path: Path) -> Path:
    """The box's own embedding model, whose ONNX folder is `folder`: the very same weights, in 4 bits and floats."""
    graph = {tensor.name: tensor for tensor in onnx.load(str(folder / "model.onnx")).graph.initializer}
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "sentencepiece.model"))
    count = pieces.get_piece_size()
    model = protobuf.ModelProto()  # type: ignore[attr-defined]  # made when the module is imported
    model.ParseFromString((folder / "sentencepiece.model").read_bytes())
    width, layers = graph["emb.ln.w"].dims[0], sum(name.endswith(".q.w") for name in graph)
    said = _entries(width, layers, 12, graph["l0.fi.b"].dims[0], graph["emb.place"].dims[0], 1)
    said |= {
        "general.name": "Multilingual E5 small",
        "general.languages": ["ja", "en"],
        "tokenizer.ggml.model": "t5",
        "tokenizer.ggml.tokens": [pieces.id_to_piece(number) for number in range(count)],
        "tokenizer.ggml.scores": Value(ARRAY, (F32, [pieces.get_score(number) for number in range(count)])),
        "tokenizer.ggml.token_type": _integers(piece.type for piece in model.pieces),
        "tokenizer.ggml.token_type_count": 1,
        "tokenizer.ggml.add_space_prefix": Value(7, True),
        "tokenizer.ggml.remove_extra_whitespaces": Value(7, True),
        "tokenizer.ggml.precompiled_charsmap": Value(ARRAY, (0, model.normalizer_spec.precompiled_charsmap)),
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 3,
        "tokenizer.ggml.seperator_token_id": 2,
        "tokenizer.ggml.padding_token_id": 1,
        "tokenizer.ggml.add_bos_token": Value(7, True),
        "tokenizer.ggml.add_eos_token": Value(7, True),
    }
    parts = [
        _embedded(graph["emb.word"], graph["emb.word.scale"], count),
        _floats("position_embd.weight", _array(graph["emb.place"])),
        _floats("token_types.weight", np.zeros((1, width), np.float32)),  # it is in the places already
        *(_floats(f"token_embd_norm.{part}", _array(graph[f"emb.ln.{part[0]}"])) for part in ("weight", "bias")),
    ]
    for layer in range(layers):
        for theirs, ours in _OF_STARTER.items():
            weight, scale = _array(graph[f"l{layer}.{theirs}.w"]), graph.get(f"l{layer}.{theirs}.scale")
            if scale is not None:
                weight = (weight * _array(scale)).T
            parts.append(_floats(f"blk.{layer}.{ours}.weight", weight))
            parts.append(_floats(f"blk.{layer}.{ours}.bias", _array(graph[f"l{layer}.{theirs}.b"])))
    path.write_bytes(gguf.build(said, parts))
    return path


def install(models: Path, starter: Path) -> Path:
    """The same in a store with its manifest; returns its folder. Made once, then shared."""
    folder = models / "e5-gguf"
    folder.mkdir(parents=True)
    file = folder / "e5-gguf.gguf"
    shutil.copyfile(_made(starter), file)
    manifest = {
        "id": folder.name, "name": "Multilingual E5 small", "kind": "embedding", "engine": "llama",
        "files": {file.name: {"sha256": hashlib.sha256(file.read_bytes()).hexdigest(), "size": file.stat().st_size}},
        "entry": file.name, "licence": "MIT", "source": "starter", "languages": ["ja", "en"], "context": 512,
        "dimensions": 384, "pooling": "mean",
    }  # fmt: skip
    (folder / "model.json").write_text(json.dumps(manifest), "utf-8")
    return folder


@cache
def _made(starter: Path) -> Path:
    folder = tempfile.mkdtemp(prefix="hako-e5-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return of_starter(starter, Path(folder, "e5.gguf"))


def _entries(width: int, layers: int, heads: int, inner: int, places: int, pooling: int | None) -> dict[str, Any]:
    return {
        "general.architecture": "bert",
        "general.license": "mit",
        "general.file_type": 0,
        "bert.block_count": layers,
        "bert.context_length": places,
        "bert.embedding_length": width,
        "bert.feed_forward_length": inner,
        "bert.attention.head_count": heads,
        "bert.attention.layer_norm_epsilon": 1e-5,
        "bert.attention.causal": Value(7, False),
        "bert.pooling_type": pooling,
    }


def _phantom(piece: str) -> str:
    """As the format has BERT's pieces: what begins a word is marked, not what goes on."""
    if piece.startswith("["):
        return piece
    return piece[2:] if piece.startswith("##") else "▁" + piece


def _integers(numbers: Iterator[int]) -> Value:
    return Value(ARRAY, (I32, list(numbers)))


def _both(name: str, network: Encoder, theirs: str) -> Iterator[Tensor]:
    for part in ("weight", "bias"):
        if f"{theirs}.{part}" in network.tensors:
            yield _floats(f"{name}.{part}", network.tensors[f"{theirs}.{part}"])


def _floats(name: str, values: NDArray[Any]) -> Tensor:
    return Tensor(name, values.shape[::-1], data=np.ascontiguousarray(values, "<f4").tobytes())


def _embedded(quantised: TensorProto, scales: TensorProto, count: int) -> Tensor:
    """Both formats keep 32 numbers of 4 bits with one scale, in another order of halves."""
    rows, width = count, quantised.dims[1]
    raw = np.frombuffer(quantised.raw_data, np.uint8)[: rows * width // 2].reshape(-1, _BLOCK // 2)
    low, high = raw & 15, raw >> 4
    numbers = np.stack([low, high], axis=-1).reshape(-1, _BLOCK) ^ 8  # from two's complement to an offset of 8
    blocks = np.empty((len(numbers), 2 + _BLOCK // 2), np.uint8)
    blocks[:, :2] = numpy_helper.to_array(scales)[:rows].astype("<f2").reshape(-1, 1).view(np.uint8)
    blocks[:, 2:] = numbers[:, : _BLOCK // 2] | numbers[:, _BLOCK // 2 :] << 4
    return Tensor("token_embd.weight", (width, rows), _Q4_0, blocks.tobytes())


def _array(tensor: TensorProto) -> NDArray[np.float32]:
    values: NDArray[np.float32] = numpy_helper.to_array(tensor).astype(np.float32)
    return values
