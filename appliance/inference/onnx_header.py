"""What an ONNX file says of itself: our own bounded reader of its protobuf, for files that nobody has vouched for.

Only what we know may be in the file, each thing where it belongs and once: a field that is unknown, repeated or of
another type is where two readers begin to see two files in one. No weight is read, lengths are only compared. Pure
Python, no file access: it is given the bytes.
"""

import math
import re
from dataclasses import dataclass, field
from typing import Final

from appliance.inference.onnx_fields import (
    ATTRIBUTE,
    DIMENSION,
    ENTRY,
    GRAPH,
    MODEL,
    NODE,
    OPSET,
    SHAPE,
    SPARSE,
    TENSOR,
    TENSOR_TYPE,
    TYPE,
    TYPES,
    VALUE,
    Data,
    Field,
    OnnxError,
    Wire,
)

FILE_BYTES: Final = (2 << 30) - 1
"""No protobuf may be longer; what is larger keeps its weights in files beside it."""

_DEPTH_MAX = 8
_NODES_MAX, _TENSORS_MAX, _VALUES_MAX, _OPERATORS_MAX, _OPSETS_MAX = 200_000, 65_536, 1100, 256, 64
_EXTERNAL_MAX = 16
_DIMENSIONS_MAX = 16
_SIDE_MAX, _ELEMENTS_MAX, _FILE_MAX = 1 << 40, 1 << 45, 1 << 50
_VERSIONS = range(3, 33)
_DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
"""Whose operators are computed by the runtime itself; others would need a library that the file names."""
_OPERATOR = re.compile(r"[A-Za-z0-9_]{1,64}")
_BESIDE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9 _.+-]{0,199}")
"""A file in the same folder: no separator, no dots in front, none of the runtime's own marks for memory."""
_NUMBER = re.compile(r"[0-9]{1,18}")
_EXTERNAL = 1


@dataclass(frozen=True)
class Value:
    """What goes into the graph, or comes out."""

    name: str
    kind: str
    """Type of its elements, e.g. `INT64`; empty if it is no tensor."""
    shape: tuple[int, ...] | None
    """Its sides, -1 where they depend on the input; None if it doesn't say."""


@dataclass(frozen=True)
class External:
    """A file beside this one that holds weights."""

    name: str
    """In the same folder."""
    size: int
    """Bytes it must have at least."""


@dataclass(frozen=True)
class OnnxHeader:
    """What was found, checked."""

    ir_version: int
    producer: str
    opsets: tuple[tuple[str, int], ...]
    """Domain and version."""
    inputs: tuple[Value, ...]
    """Without those that the file itself fills."""
    outputs: tuple[Value, ...]
    operators: tuple[tuple[str, int], ...]
    """How often each is used, subgraphs included, in alphabetical order."""
    external: tuple[External, ...]
    parameters: int
    quantization: str
    """The type that most bytes of the weights have, e.g. `INT8`."""


@dataclass
class _Found:
    """What has been met so far, in the graph and its subgraphs."""

    nodes: int = 0
    tensors: int = 0
    parameters: int = 0
    operators: dict[str, int] = field(default_factory=dict)
    external: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    """Bits by type of element."""


@dataclass
class _Tensor:
    """What is said of one."""

    name: str = ""
    kind: str = ""
    sides: list[int] = field(default_factory=list)
    raw: int = -1
    """Bytes of its numbers, if they are written as such."""
    typed: bool = False
    """Whether they are written by their type."""
    outside: bool = False
    entries: dict[str, str] = field(default_factory=dict)
    """Where they are outside of the file."""


def parse(data: Data, size: int) -> OnnxHeader:
    """What the ONNX file of `size` bytes says, all of which are in `data`.

    Raises:
        OnnxError: for everything that is not right; never anything else.
    """
    if size > FILE_BYTES or len(data) < size:
        raise OnnxError("is too long")
    return _Reader(data, size).model()


class _Reader:
    def __init__(self, data: Data, size: int) -> None:
        self._wire, self._size = Wire(data), size
        self._found = _Found()

    # -- the model

    def model(self) -> OnnxHeader:
        version, producer, graph = 0, "", None
        opsets: list[tuple[str, int]] = []
        for found in self._wire.fields(MODEL, 0, self._size):
            match found.number:
                case 1:
                    version = found.value()
                case 2:
                    producer = self._wire.text(found)
                case 7:
                    graph = found.span()
                case 8:
                    opsets.append(self._opset(*found.span()))
        if version not in _VERSIONS:
            raise OnnxError("has a version that is not known")
        if graph is None or not 0 < len(opsets) <= _OPSETS_MAX or not any(not domain for domain, _version in opsets):
            raise OnnxError("has no graph or no operators")
        inputs, outputs = self._graph(*graph, depth=0)
        if not 0 < len(inputs) <= _VALUES_MAX or not 0 < len(outputs) <= _VALUES_MAX or not self._found.nodes:
            raise OnnxError("has an impossible number of inputs or outputs")
        return OnnxHeader(
            ir_version=version,
            producer=producer[:100],
            opsets=tuple(sorted(opsets)),
            inputs=tuple(inputs),
            outputs=tuple(outputs),
            operators=tuple(sorted(self._found.operators.items())),
            external=tuple(External(name, size) for name, size in sorted(self._found.external.items())),
            parameters=self._found.parameters,
            quantization=self._quantization(),
        )

    def _opset(self, start: int, end: int) -> tuple[str, int]:
        domain, version = "", 0
        for found in self._wire.fields(OPSET, start, end):
            if found.number == 1:
                domain = self._wire.text(found)
            else:
                version = found.value()
        if version >= 1 << 31 or len(domain) > 100:
            raise OnnxError("has operators of an impossible version")
        return "" if domain == "ai.onnx" else domain, version

    def _graph(self, start: int, end: int, depth: int) -> tuple[list[Value], list[Value]]:
        """Inputs that the file doesn't fill itself, and outputs."""
        if depth > _DEPTH_MAX:
            raise OnnxError("has graphs in graphs in graphs")
        inputs: list[Value] = []
        outputs: list[Value] = []
        filled: set[str] = set()
        for found in self._wire.fields(GRAPH, start, end):
            match found.number:
                case 1:
                    self._node(*found.span(), depth)
                case 5:
                    filled.add(self._tensor(*found.span()))
                case 11:
                    inputs.append(self._value(*found.span()))
                case 12:
                    outputs.append(self._value(*found.span()))
                case 15:
                    self._sparse(*found.span())
        if len(inputs) > _TENSORS_MAX or len(outputs) > _TENSORS_MAX:
            raise OnnxError("has an impossible number of inputs or outputs")
        return [value for value in inputs if value.name not in filled], outputs

    def _node(self, start: int, end: int, depth: int) -> None:
        found = self._found
        found.nodes += 1
        if found.nodes > _NODES_MAX:
            raise OnnxError("has too many operators")
        kind = domain = ""
        for part in self._wire.fields(NODE, start, end):
            match part.number:
                case 4:
                    kind = self._wire.text(part)
                case 5:
                    self._attribute(*part.span(), depth)
                case 7:
                    domain = self._wire.text(part)
        if domain not in _DOMAINS:
            raise OnnxError("uses operators that no runtime of ours has")
        if not _OPERATOR.fullmatch(kind):
            raise OnnxError("has an operator without a name")
        found.operators[kind] = found.operators.get(kind, 0) + 1
        if len(found.operators) > _OPERATORS_MAX:
            raise OnnxError("has too many kinds of operators")

    def _attribute(self, start: int, end: int, depth: int) -> None:
        for found in self._wire.fields(ATTRIBUTE, start, end):
            match found.number:
                case 5 | 10:
                    self._tensor(*found.span())
                case 6 | 11:
                    self._graph(*found.span(), depth + 1)
                case 22 | 23:
                    self._sparse(*found.span())

    # -- values and weights

    def _value(self, start: int, end: int) -> Value:
        name, kind, shape = "", "", None
        for found in self._wire.fields(VALUE, start, end):
            if found.number == 1:
                name = self._wire.text(found)
            elif found.number == 2:
                kind, shape = self._type(*found.span())
        if not name:
            raise OnnxError("has an input or output without a name")
        return Value(name, kind, shape)

    def _type(self, start: int, end: int) -> tuple[str, tuple[int, ...] | None]:
        for found in self._wire.fields(TYPE, start, end):
            if found.number == 1:
                return self._tensor_type(*found.span())
        return "", None

    def _tensor_type(self, start: int, end: int) -> tuple[str, tuple[int, ...] | None]:
        kind, shape = "", None
        for found in self._wire.fields(TENSOR_TYPE, start, end):
            if found.number == 1:
                kind = self._kind(found.value())
            else:
                shape = tuple(self._side(*side.span()) for side in self._wire.fields(SHAPE, *found.span()))
                if len(shape) > _DIMENSIONS_MAX:
                    raise OnnxError("has a tensor of impossible shape")
        return kind, shape

    def _side(self, start: int, end: int) -> int:
        for found in self._wire.fields(DIMENSION, start, end):
            if found.number == 1:
                side = found.value()
                if side > _SIDE_MAX:
                    raise OnnxError("has a tensor of impossible shape")
                return side
        return -1

    def _tensor(self, start: int, end: int) -> str:
        """Count a tensor; returns its name."""
        tensor = self._tensor_parts(start, end)
        if len(tensor.sides) > _DIMENSIONS_MAX or any(side > _SIDE_MAX for side in tensor.sides):
            raise OnnxError("has a tensor of impossible shape")
        elements = math.prod(tensor.sides)
        self._count(tensor.kind, elements)
        size = -(-elements * TYPES[tensor.kind] // 8)
        if tensor.outside or tensor.entries:
            if tensor.raw >= 0 or tensor.typed or not tensor.outside:
                raise OnnxError("has a tensor at two places")
            self._outside(tensor.entries, size)
        elif tensor.raw >= 0:
            if tensor.raw != size or tensor.typed or tensor.kind == "STRING":
                raise OnnxError("has a tensor that doesn't fill its shape")
        elif elements and not tensor.typed:
            raise OnnxError("has a tensor without numbers")
        return tensor.name

    def _tensor_parts(self, start: int, end: int) -> "_Tensor":
        tensor = _Tensor()
        for found in self._wire.fields(TENSOR, start, end):
            match found.number:
                case 1:
                    tensor.sides += self._sides(found)
                case 2:
                    tensor.kind = self._kind(found.value())
                case 8:
                    tensor.name = self._wire.text(found)
                case 9:
                    tensor.raw = found.span()[1] - found.span()[0]
                case 13:
                    key, value = self._entry(*found.span())
                    if key in tensor.entries:
                        raise OnnxError("has a tensor at two places")
                    tensor.entries[key] = value
                case 14:
                    tensor.outside = found.value() == _EXTERNAL
                case 4 | 5 | 6 | 7 | 10 | 11:
                    tensor.typed = True
        return tensor

    def _count(self, kind: str, elements: int) -> None:
        found = self._found
        found.tensors += 1
        found.parameters += elements
        if not kind or found.tensors > _TENSORS_MAX or found.parameters > _ELEMENTS_MAX:
            raise OnnxError("has impossible tensors")
        found.sizes[kind] = found.sizes.get(kind, 0) + elements * TYPES[kind]

    def _sides(self, found: Field) -> list[int]:
        """One, or several packed together."""
        if found.is_number:
            return [found.value()]
        place, end = found.span()
        sides: list[int] = []
        while place < end:
            side, place = self._wire.varint(place, end)
            sides.append(side)
            if len(sides) > _DIMENSIONS_MAX:
                raise OnnxError("has a tensor of impossible shape")
        return sides

    def _sparse(self, start: int, end: int) -> None:
        for found in self._wire.fields(SPARSE, start, end):
            if found.number != 3:
                self._tensor(*found.span())

    def _outside(self, entries: dict[str, str], size: int) -> None:
        name = entries.get("location", "")
        numbers = [entries.get(key, "0") for key in ("offset", "length")]
        if not _BESIDE.fullmatch(name) or entries.keys() - {"location", "offset", "length", "checksum"}:
            raise OnnxError("has weights in a file that is not beside it")
        if not all(_NUMBER.fullmatch(number) for number in numbers):
            raise OnnxError("has weights at an impossible place")
        offset, length = map(int, numbers)
        if length not in (0, size) or offset + size > _FILE_MAX:
            raise OnnxError("has weights at an impossible place")
        known = self._found.external
        known[name] = max(known.get(name, 0), offset + size)
        if len(known) > _EXTERNAL_MAX:
            raise OnnxError("has weights in too many files")

    def _entry(self, start: int, end: int) -> tuple[str, str]:
        parts = {found.number: self._wire.text(found) for found in self._wire.fields(ENTRY, start, end)}
        return parts.get(1, ""), parts.get(2, "")

    def _kind(self, number: int) -> str:
        if not 0 < number < len(TYPES):
            raise OnnxError("has a tensor of unknown type")
        return list(TYPES)[number]

    def _quantization(self) -> str:
        """Empty where bytes hold several numbers each, whose width only the operators know."""
        sizes = self._found.sizes
        most = max(sizes, key=lambda kind: sizes[kind]) if sizes else ""
        return "" if most == "UINT8" and "MatMulNBits" in self._found.operators else most
