"""Small Hugging Face folders of BERT and RoBERTa encoders with random weights, and what they compute, in numpy."""

import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.simulators import hugging_face
from tests.simulators.e5s1 import PIECES

Floats = NDArray[np.float32]

WORDPIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghijklmnopqrst")
WORDPIECE: dict[str, Any] = {
    "version": "1.0",
    "model": {"type": "WordPiece", "vocab": {t: n for n, t in enumerate(WORDPIECES)}},
}
"""Of BERT's kind, but for what says how texts are cut."""


def bert(pieces: Sequence[str] = WORDPIECES, **casing: Any) -> dict[str, Any]:
    """A `tokenizer.json` as BERT's library writes it."""
    marks = [("SpecialToken", "[CLS]", 0), ("Sequence", "A", 0), ("SpecialToken", "[SEP]", 0)]
    second = [("Sequence", "B", 1), ("SpecialToken", "[SEP]", 1)]
    normalizer = {"clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}
    fixed = [mark for mark in pieces if mark in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")]

    def told(parts: list[tuple[str, str, int]]) -> list[dict[str, Any]]:
        return [{kind: {"id": name, "type_id": number}} for kind, name, number in parts]

    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": pieces.index(mark), "content": mark, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True}
            for mark in fixed
        ],
        "normalizer": {"type": "BertNormalizer", **normalizer, **casing},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": told(marks),
            "pair": told([*marks, *second]),
            "special_tokens": {
                mark: {"id": mark, "ids": [pieces.index(mark)], "tokens": [mark]} for mark in ("[CLS]", "[SEP]")
            },
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": {piece: number for number, piece in enumerate(pieces)},
        },
    }  # fmt: skip


def safetensors(tensors: Mapping[str, NDArray[Any]], kind: str = "F32") -> bytes:
    """A file of them; `BF16` keeps the upper half of each float."""
    table: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    parts: list[bytes] = []
    place = 0
    for name, values in tensors.items():
        if values.dtype != np.float32:
            own, raw = "I64", values.astype("<i8").tobytes()
        elif kind == "BF16":
            own, raw = kind, (values.view(np.uint32) >> 16).astype("<u2").tobytes()
        else:
            own, raw = kind, values.astype("<f4" if kind == "F32" else "<f2").tobytes()
        table[name] = {"dtype": own, "shape": list(values.shape), "data_offsets": [place, place + len(raw)]}
        place += len(raw)
        parts.append(raw)
    head = json.dumps(table).encode()
    return len(head).to_bytes(8, "little") + head + b"".join(parts)


@cache
def _unigram() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        return hugging_face.tokenizer(hugging_face.original(Path(folder)) / "sentencepiece.model")


def rounded(values: Floats, kind: str) -> Floats:
    """As they come out of a file of that type."""
    if kind == "F16":
        return values.astype(np.float16).astype(np.float32)
    return (values.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32) if kind == "BF16" else values


BERT_PIECES = (
    *WORDPIECES[:4], "[MASK]", *"abcdefghijklmnopqrstuvwxyz0123456789日本首都東京は。、?.",
    *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz0123456789"),
)  # fmt: skip
"""With which sentences of both languages can be written."""


@dataclass
class Encoder:
    """A network to be written; change what a test wants to be wrong."""

    family: str = "xlm-roberta"
    labels: int = 0
    """Of a head; none for 0."""
    hidden: int = 32
    layers: int = 2
    heads: int = 4
    forward: int = 64
    rows: int = len(PIECES) + 1
    positions: int = 514
    types: int = 1
    activation: str = "gelu"
    kind: str = "F32"
    seed: int = 3
    tensors: dict[str, NDArray[Any]] = field(default_factory=dict)
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        random = np.random.default_rng(self.seed)
        self._random = random
        self._bert = self.family == "bert"
        self.prefix = ("bert." if self._bert else "roberta.") if self.labels else ""
        embeddings = f"{self.prefix}embeddings"
        sizes = {"word": self.rows, "position": self.positions, "token_type": self.types}
        for name, rows in sizes.items():
            self._add(f"{embeddings}.{name}_embeddings.weight", rows, self.hidden)
        self.tensors[f"{embeddings}.position_ids"] = np.arange(self.positions)[None]
        self._norm(f"{embeddings}.LayerNorm")
        for number in range(self.layers):
            layer = f"{self.prefix}encoder.layer.{number}"
            for part in ("attention.self.query", "attention.self.key", "attention.self.value"):
                self._linear(f"{layer}.{part}", self.hidden, self.hidden)
            self._linear(f"{layer}.attention.output.dense", self.hidden, self.hidden)
            self._norm(f"{layer}.attention.output.LayerNorm")
            self._linear(f"{layer}.intermediate.dense", self.forward, self.hidden)
            self._linear(f"{layer}.output.dense", self.hidden, self.forward)
            self._norm(f"{layer}.output.LayerNorm")
        if self._bert or not self.labels:
            self._linear(f"{self.prefix}pooler.dense", self.hidden, self.hidden)
        if self.labels:
            if not self._bert:
                self._linear("classifier.dense", self.hidden, self.hidden)
            out = "classifier" if self._bert else "classifier.out_proj"
            self._linear(out, self.labels, self.hidden)
            self.tensors[f"{out}.weight"] *= 10  # scores that differ

    # -- the folder

    @property
    def skipped(self) -> int:
        return 0 if self._bert else 2

    def config(self) -> dict[str, Any]:
        return {
            "model_type": self.family, "hidden_size": self.hidden, "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads, "intermediate_size": self.forward, "vocab_size": self.rows,
            "max_position_embeddings": self.positions, "type_vocab_size": self.types, "hidden_act": self.activation,
            "layer_norm_eps": self.epsilon, "pad_token_id": 0 if self._bert else 1,
        }  # fmt: skip

    def write(
        self, folder: Path, *, shards: int = 1, wordpiece: bool = False, vocabulary: dict[str, Any] | None = None
    ) -> Path:
        """The folder as it is offered; with `wordpiece` BERT's own vocabulary, of which something is missing."""
        folder.mkdir(parents=True)
        said = vocabulary or (WORDPIECE if wordpiece else _unigram())
        hugging_face.write(folder, said, self.config())
        if shards == 1:
            (folder / "model.safetensors").write_bytes(safetensors(self.tensors, self.kind))
            return folder
        where = {
            name: f"model-{number % shards + 1:05}-of-{shards:05}.safetensors"
            for number, name in enumerate(self.tensors)
        }
        for file in set(where.values()):
            own = {name: values for name, values in self.tensors.items() if where[name] == file}
            (folder / file).write_bytes(safetensors(own, self.kind))
        index = {"metadata": {"total_size": 1}, "weight_map": where}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")
        return folder

    # -- what it computes

    def run(self, ids: list[int], types: list[int] | None = None) -> Floats:
        """The last layer's vectors (tokens, hidden) of one text."""
        embeddings = f"{self.prefix}embeddings"
        places = np.arange(len(ids)) + self.skipped
        x = self._of(f"{embeddings}.word_embeddings.weight")[ids]
        x = x + self._of(f"{embeddings}.position_embeddings.weight")[places]
        x = x + self._of(f"{embeddings}.token_type_embeddings.weight")[types or [0] * len(ids)]
        x = self._normalised(f"{embeddings}.LayerNorm", x)
        for number in range(self.layers):
            x = self._layer(f"{self.prefix}encoder.layer.{number}", x)
        return x.astype(np.float32)

    def embed(self, ids: list[int], pooling: str = "mean") -> Floats:
        """A text's vector, of length 1."""
        rows = self.run(ids)
        vector = rows[0] if pooling == "cls" else rows.mean(axis=0)
        unit: Floats = vector / np.linalg.norm(vector)
        return unit

    def score(self, ids: list[int], types: list[int] | None = None) -> Floats:
        """The logits (labels,) of one text or pair."""
        inner, out = (
            (f"{self.prefix}pooler.dense", "classifier") if self._bert else ("classifier.dense", "classifier.out_proj")
        )
        return self._applied(out, np.tanh(self._applied(inner, self.run(ids, types)[0])))

    def _layer(self, name: str, x: Floats) -> Floats:
        def heads(part: str) -> Floats:
            values = self._applied(f"{name}.attention.self.{part}", x)
            apart: Floats = values.reshape(len(x), self.heads, -1).swapaxes(0, 1)
            return apart

        query, key, value = heads("query"), heads("key"), heads("value")
        scores = query @ key.swapaxes(1, 2) / math.sqrt(query.shape[-1])
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (weights / weights.sum(-1, keepdims=True) @ value).swapaxes(0, 1).reshape(len(x), -1)
        output = f"{name}.attention.output"
        x = self._normalised(f"{output}.LayerNorm", x + self._applied(f"{output}.dense", mixed))
        wide = self._activated(self._applied(f"{name}.intermediate.dense", x))
        return self._normalised(f"{name}.output.LayerNorm", x + self._applied(f"{name}.output.dense", wide))

    def _activated(self, x: Floats) -> Floats:
        if self.activation == "relu":
            return np.maximum(x, 0)
        if self.activation == "gelu":
            exact: Floats = 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
            return exact
        near: Floats = 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
        return near

    def _applied(self, name: str, x: Floats) -> Floats:
        result: Floats = x @ self._of(f"{name}.weight").T + self._of(f"{name}.bias")
        return result

    def _normalised(self, name: str, x: Floats) -> Floats:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + self.epsilon)
        weight, bias = (
            (f"{name}.gamma", f"{name}.beta") if f"{name}.gamma" in self.tensors else (f"{name}.weight", f"{name}.bias")
        )
        result: Floats = scaled * self._of(weight) + self._of(bias)
        return result

    def _of(self, name: str) -> Floats:
        return rounded(self.tensors[name], self.kind)

    def _add(self, name: str, *shape: int, scale: float = 1.0) -> None:
        self.tensors[name] = self._random.normal(scale=scale, size=shape).astype(np.float32)

    def _linear(self, name: str, rows: int, columns: int) -> None:
        self._add(f"{name}.weight", rows, columns, scale=1 / math.sqrt(columns))
        self._add(f"{name}.bias", rows, scale=0.1)

    def _norm(self, name: str) -> None:
        self.tensors[f"{name}.weight"] = self._random.uniform(0.5, 1.5, self.hidden).astype(np.float32)
        self._add(f"{name}.bias", self.hidden, scale=0.1)
