"""A small cross-encoder with random weights, as an ONNX graph and in numpy: one layer over question and document."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Floats = NDArray[np.float32]

_OPSET, _IR = 17, 10
_EPSILON = 1e-5
_MASKED = -10000.0


class CrossEncoder:
    """`labels` is 1 for a score, 2 for a no and a yes. `types` adds the input that BERT's graphs have."""

    def __init__(
        self, rows: int, *, labels: int = 1, hidden: int = 16, positions: int = 512, types: bool = False
    ) -> None:
        random = np.random.default_rng(11)
        self.hidden, self.labels, self._types = hidden, labels, types
        shapes = {
            "words": (rows, hidden), "places": (positions, hidden), "kinds": (2, hidden),
            "q": (hidden, hidden), "k": (hidden, hidden), "v": (hidden, hidden), "o": (hidden, hidden),
            "dense": (hidden, hidden), "dense.b": (hidden,), "head": (hidden, labels), "head.b": (labels,),
        }  # fmt: skip
        self.weights = {name: random.normal(scale=0.5, size=shape).astype(np.float32) for name, shape in shapes.items()}

    def score(self, ids: list[int]) -> Floats:
        """The logits (labels,) of one pair that is encoded already."""
        weights = self.weights
        x = weights["words"][ids] + weights["places"][: len(ids)]
        if self._types:
            x = x + weights["kinds"][0]
        q, k, v = (x @ weights[part] for part in "qkv")
        scores = q @ k.T / math.sqrt(self.hidden)
        attention = np.exp(scores - scores.max(-1, keepdims=True))
        x = x + (attention / attention.sum(-1, keepdims=True)) @ v @ weights["o"]
        centred = x - x.mean(-1, keepdims=True)
        x = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + _EPSILON)
        pooled = np.tanh(x[0] @ weights["dense"] + weights["dense.b"])
        logits: Floats = pooled @ weights["head"] + weights["head.b"]
        return logits

    def write(self, path: Path) -> None:
        """The graph: `input_ids` and `attention_mask` in, `logits` (batch, labels) out."""
        graph = _Graph(self.weights)
        absent = graph.op("Sub", [graph.constant(np.float32(1)), graph.op("Cast", ["attention_mask"], to=1)])
        bias = graph.op("Mul", [absent, graph.constant(np.float32(_MASKED))])
        bias = graph.op("Unsqueeze", [bias, graph.constant(np.array([1], np.int64))])
        zero = graph.constant(np.zeros(1, np.int64))
        places = graph.op("Slice", ["places", zero, graph.op("Shape", ["input_ids"], start=1, end=2), zero])
        x = graph.op("Add", [graph.op("Gather", ["words", "input_ids"]), places])
        if self._types:
            x = graph.op("Add", [x, graph.op("Gather", ["kinds", "token_type_ids"])])
        q, k, v = (graph.op("MatMul", [x, part]) for part in "qkv")
        scores = graph.op("MatMul", [q, graph.op("Transpose", [k], perm=[0, 2, 1])])
        scores = graph.op("Mul", [scores, graph.constant(np.float32(1 / math.sqrt(self.hidden)))])
        attention = graph.op("Softmax", [graph.op("Add", [scores, bias])], axis=-1)
        x = graph.op("Add", [x, graph.op("MatMul", [graph.op("MatMul", [attention, v]), "o"])])
        ones = graph.constant(np.ones(self.hidden, np.float32))
        x = graph.op("LayerNormalization", [x, ones], axis=-1, epsilon=_EPSILON)
        first = graph.op("Gather", [x, graph.constant(np.int64(0))], axis=1)
        pooled = graph.op("Tanh", [graph.op("Add", [graph.op("MatMul", [first, "dense"]), "dense.b"])])
        graph.op("Add", [graph.op("MatMul", [pooled, "head"]), "head.b"], output="logits")
        inputs = ["input_ids", "attention_mask", *(["token_type_ids"] if self._types else [])]
        path.write_bytes(graph.model(inputs, self.labels).SerializeToString())

    def install(self, models: Path, model: str, vocabulary: Path, context: int = 512) -> Path:
        """Put it into a store with its manifest; returns its folder."""
        folder = models / model
        folder.mkdir(parents=True)
        self.write(folder / "model.onnx")
        (folder / "sentencepiece.model").write_bytes(vocabulary.read_bytes())
        files = {
            path.name: {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "size": path.stat().st_size}
            for path in folder.iterdir()
        }
        manifest = {
            "id": model, "name": "Small cross-encoder", "kind": "reranker", "engine": "onnx", "files": files,
            "entry": "model.onnx", "licence": "Apache-2.0", "source": "random", "languages": ["ja", "en"],
            "context": context,
        }  # fmt: skip
        (folder / "model.json").write_text(json.dumps(manifest), "utf-8")
        return folder


class _Graph:
    def __init__(self, weights: dict[str, Floats]) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants = [numpy_helper.from_array(values, name) for name, values in weights.items()]

    def constant(self, values: NDArray[Any] | np.generic) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def op(self, kind: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        name = output or f"{kind}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def model(self, inputs: list[str], labels: int) -> onnx.ModelProto:
        taken = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in inputs]
        given = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", labels])
        graph = helper.make_graph(self._nodes, "cross-encoder", taken, [given], self._constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
