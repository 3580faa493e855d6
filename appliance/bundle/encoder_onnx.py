"""Writes a BERT-shaped encoder as an ONNX graph, its products in floats or in 8-bit integers.

As integers, a matrix has a scale for each output, and each token's activations get a scale of their own, so that a
text's vector doesn't depend on the texts it is computed with. The same input makes the same bytes on every machine.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from appliance.inference.hf_config import Pooling

Floats: TypeAlias = NDArray[np.float32]

Activation = Literal["gelu", "gelu_tanh", "relu"]

_OPSET, _CONTRIB_OPSET, _IR = 21, 1, 10
CONTRIB = "com.microsoft"

_LARGEST_WEIGHT = 64
"""Not 127: without VNNI, CPUs add two products of an activation (up to 255) and a weight in 16 bits."""
_LARGEST_ACTIVATION = 127
_ZERO = 128
_MASKED = -10000.0
_BESIDE_BYTES, _ALIGNED = 1024, 64
"""Smaller constants stay in the graph; where larger ones begin in the file beside it."""


@dataclass(frozen=True)
class Sizes:
    """The shape of an encoder."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    epsilon: float
    activation: Activation = "gelu"


class Encoder(Protocol):
    """What gives the weights, by their short names: `emb.ln`, and for layer n `ln.q`, `.k`, `.v`, `.ao` (attention's
    output), `.aln` (its norm), `.fi` and `.fo` (the wide and the narrow half), `.oln`; each with `.w` and `.b`.
    """

    @property
    def sizes(self) -> Sizes: ...

    def words(self, graph: "Graph") -> str:
        """The vectors of `input_ids` (batch, tokens, hidden), without their places."""
        ...

    def places(self) -> Floats:
        """What is added by a token's place (places, hidden)."""
        ...

    def vector(self, name: str, *shape: int) -> Floats: ...

    def matrix(self, name: str, rows: int, columns: int) -> Floats: ...


class Graph:
    """Nodes and constants in the order they are made; values are named by their number."""

    def __init__(self, *, integers: bool, beside: tuple[str, BinaryIO] | None = None) -> None:
        """`integers`: products in them. `beside`: name and file for the large constants, which else stay inside."""
        self.integers = integers
        self._beside = beside
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, values: NDArray[Any] | np.generic) -> str:
        array = np.ascontiguousarray(values).reshape(np.shape(values))
        if self._beside is not None and array.nbytes >= _BESIDE_BYTES:
            self._constants[name] = self._put_beside(name, array, *self._beside)
        else:
            self._constants[name] = numpy_helper.from_array(array, name)
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

    def write(self, target: Path, name: str, inputs: list[str], output: str, sides: list[str | int | None]) -> None:
        """Write the file: token ids and what goes with them in, `output` of shape `sides` out."""
        asked = [helper.make_tensor_value_info(one, TensorProto.INT64, ["batch", "tokens"]) for one in inputs]
        given = helper.make_tensor_value_info(output, TensorProto.FLOAT, sides)
        graph = helper.make_graph(self._nodes, name, asked, [given], list(self._constants.values()))
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(CONTRIB, _CONTRIB_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR, producer_name="hako")
        target.write_bytes(model.SerializeToString(deterministic=True))

    @staticmethod
    def _put_beside(name: str, array: NDArray[Any], place: str, file: BinaryIO) -> onnx.TensorProto:
        file.write(bytes(-file.tell() % _ALIGNED))
        start = file.tell()
        file.write(array.data)
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        tensor = onnx.TensorProto(name=name, data_type=kind, dims=array.shape, data_location=TensorProto.EXTERNAL)
        for key, value in (("location", place), ("offset", str(start)), ("length", str(array.nbytes))):
            tensor.external_data.add(key=key, value=value)
        return tensor


def encode(graph: Graph, encoder: Encoder) -> str:
    """Put the whole encoder into the graph; the last layer's vectors (batch, tokens, hidden) come out.

    Raises:
        HakoError: what `encoder` says of a tensor that is missing or of another shape.
    """
    bias = _mask(graph)
    words = encoder.words(graph)
    places = graph.constant("emb.place", encoder.places())
    count = graph.op("Shape", ["input_ids"], start=1, end=2)
    zero = graph.constant("first", np.zeros(1, np.int64))
    used = graph.op("Slice", [places, zero, count, zero])
    x = _normalise(graph, encoder, "emb.ln", graph.op("Add", [words, used]))
    for number in range(encoder.sizes.layers):
        x = _layer(graph, encoder, f"l{number}", x, bias)
    return x


def _mask(graph: Graph) -> str:
    """(batch, 1, 1, tokens): 0 where a token is, a large negative number where padding is."""
    present = graph.op("Cast", ["attention_mask"], to=TensorProto.FLOAT)
    absent = graph.op("Sub", [graph.constant("one", np.float32(1)), present])
    penalty = graph.op("Mul", [absent, graph.constant("masked", np.float32(_MASKED))])
    return graph.op("Unsqueeze", [penalty, graph.constant("mask_axes", np.array([1, 2], np.int64))])


def _layer(graph: Graph, encoder: Encoder, name: str, x: str, bias: str) -> str:
    hidden, forward = encoder.sizes.hidden, encoder.sizes.feed_forward
    attended = _attention(graph, encoder, name, x, bias)
    projected = _operand(graph, attended).times(encoder, f"{name}.ao", hidden, hidden)
    x = _normalise(graph, encoder, f"{name}.aln", graph.op("Add", [x, projected]))
    wide = _activated(graph, encoder, _operand(graph, x).times(encoder, f"{name}.fi", forward, hidden))
    narrow = _operand(graph, wide).times(encoder, f"{name}.fo", hidden, forward)
    return _normalise(graph, encoder, f"{name}.oln", graph.op("Add", [x, narrow]))


def _activated(graph: Graph, encoder: Encoder, x: str) -> str:
    match encoder.sizes.activation:
        case "gelu":
            return graph.op("Gelu", [x])
        case "gelu_tanh":
            return graph.op("Gelu", [x], approximate="tanh")
        case "relu":
            return graph.op("Relu", [x])


def _attention(graph: Graph, encoder: Encoder, name: str, x: str, bias: str) -> str:
    sizes = encoder.sizes
    hidden, width = sizes.hidden, sizes.hidden // sizes.heads
    apart = graph.constant("heads_apart", np.array([0, 0, sizes.heads, width], np.int64))
    together = graph.constant("heads_together", np.array([0, 0, hidden], np.int64))
    operand = _operand(graph, x)

    def heads(part: str, order: list[int]) -> str:
        values = operand.times(encoder, f"{name}.{part}", hidden, hidden)
        return graph.op("Transpose", [graph.op("Reshape", [values, apart])], perm=order)

    scale = graph.constant("attention_scale", np.float32(1 / math.sqrt(width)))
    query = graph.op("Mul", [heads("q", [0, 2, 1, 3]), scale])
    scores = graph.op("Add", [graph.op("MatMul", [query, heads("k", [0, 2, 3, 1])]), bias])
    mixed = graph.op("MatMul", [graph.op("Softmax", [scores], axis=-1), heads("v", [0, 2, 1, 3])])
    return graph.op("Reshape", [graph.op("Transpose", [mixed], perm=[0, 2, 1, 3]), together])


def _normalise(graph: Graph, encoder: Encoder, name: str, x: str) -> str:
    hidden = encoder.sizes.hidden
    weight = graph.constant(f"{name}.w", encoder.vector(f"{name}.w", hidden))
    bias = graph.constant(f"{name}.b", encoder.vector(f"{name}.b", hidden))
    return graph.op("LayerNormalization", [x, weight, bias], axis=-1, epsilon=encoder.sizes.epsilon)


# -- what becomes of the last layer


def pooled(graph: Graph, x: str, pooling: Pooling) -> str:
    """One vector for each text (batch, hidden): its first token's, or the mean of all that are no padding."""
    if pooling == "cls":
        return _first(graph, x)
    present = graph.op("Cast", ["attention_mask"], to=TensorProto.FLOAT)
    last = graph.constant("last_axis", np.array([-1], np.int64))
    tokens = graph.constant("token_axis", np.array([1], np.int64))
    kept = graph.op("Mul", [x, graph.op("Unsqueeze", [present, last])])
    count = graph.op("ReduceSum", [present, tokens], keepdims=1)
    return graph.op("Div", [graph.op("ReduceSum", [kept, tokens], keepdims=0), count])


def scored(graph: Graph, encoder: Encoder, x: str, labels: int) -> str:
    """A classifier's logits (batch, labels) from each text's first token; its weights are `head.in` and `head.out`.

    Always in floats: it is small, and what it says is the score itself.
    """
    hidden = encoder.sizes.hidden
    inner = Reals(graph, _first(graph, x)).times(encoder, "head.in", hidden, hidden)
    return Reals(graph, graph.op("Tanh", [inner])).times(encoder, "head.out", labels, hidden)


def _first(graph: Graph, x: str) -> str:
    return graph.op("Gather", [x, graph.constant("first_token", np.int64(0))], axis=1)


# -- products: y = x·Wᵀ + b


class Operand(Protocol):
    """Activations (…, columns) that are multiplied by one matrix or several."""

    def times(self, encoder: Encoder, name: str, rows: int, columns: int) -> str: ...


def _operand(graph: Graph, x: str) -> Operand:
    return _Integers(graph, x) if graph.integers else Reals(graph, x)


class Reals:
    """As they are, of any shape that ends in columns."""

    def __init__(self, graph: Graph, x: str) -> None:
        self._graph, self._x = graph, x

    def times(self, encoder: Encoder, name: str, rows: int, columns: int) -> str:
        graph = self._graph
        weight = graph.constant(f"{name}.w", encoder.matrix(f"{name}.w", rows, columns).T)
        bias = graph.constant(f"{name}.b", encoder.vector(f"{name}.b", rows))
        return graph.op("Add", [graph.op("MatMul", [self._x, weight]), bias])


class _Integers:
    """As bytes around 128 with one scale for each token."""

    def __init__(self, graph: Graph, x: str) -> None:
        self._graph = graph
        axes = graph.constant("last_axis", np.array([-1], np.int64))
        largest = graph.op("ReduceMax", [graph.op("Abs", [x]), axes], keepdims=1)
        self._scale = graph.op("Mul", [largest, graph.constant("step", np.float32(1 / _LARGEST_ACTIVATION))])
        steps = graph.op("Mul", [x, graph.op("Reciprocal", [self._scale])])
        # The cast cuts, so that the half makes it round.
        shifted = graph.op("Add", [steps, graph.constant("middle", np.float32(_ZERO + 0.5))])
        self._values = graph.op("Cast", [shifted], to=TensorProto.UINT8)
        self._zero = graph.constant("zero", np.uint8(_ZERO))

    def times(self, encoder: Encoder, name: str, rows: int, columns: int) -> str:
        graph = self._graph
        values, scales = quantize(encoder.matrix(f"{name}.w", rows, columns))
        weight = graph.constant(f"{name}.w", values.T)
        scale = graph.constant(f"{name}.scale", scales)
        bias = graph.constant(f"{name}.b", encoder.vector(f"{name}.b", rows))
        whole = graph.op("MatMulInteger", [self._values, weight, self._zero])
        by_token = graph.op("Mul", [graph.op("Cast", [whole], to=TensorProto.FLOAT), self._scale])
        return graph.op("Add", [graph.op("Mul", [by_token, scale]), bias])


def quantize(matrix: Floats, most: int = _LARGEST_WEIGHT) -> tuple[NDArray[np.int8], Floats]:
    """Whole numbers up to `most` and one scale for each row of `matrix` (rows, columns)."""
    largest = np.maximum(np.abs(matrix).max(axis=1), np.float32(1e-9))
    scales: Floats = largest / np.float32(most)
    return np.rint(matrix / scales[:, None]).astype(np.int8), scales
