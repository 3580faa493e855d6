"""Reads `model.safetensors`, whole or in several files: our own bounded reader, for files that nobody has vouched for.

A file is a length, a JSON table of names, types, shapes and places, and the numbers. Everything in the table is checked
against the file before it is used: the tensors fill what follows it without gap or overlap, as the format demands.
"""

import json
import math
import mmap
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from appliance.bundle.encoder_onnx import Floats
from appliance.closing import Closing
from appliance.errors import ExportDamagedError
from appliance.inference.source import Source

TABLE_BYTES: Final = 16 << 20
INDEX_BYTES: Final = 16 << 20
FILES_MAX: Final = 1000
FILE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}\.safetensors")
"""What a file of several may be called: it lies in the same folder."""

_LENGTH_BYTES = 8
_TENSORS_MAX, _SIDES_MAX, _SIDE_MAX, _NAME_CHARS = 100_000, 8, 1 << 31, 500
_METADATA: Final = "__metadata__"
_WIDTHS: Final = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip
"""Bytes of one number."""
_FLOATS: Final = frozenset({"F32", "F16", "BF16"})


@dataclass(frozen=True)
class _Tensor:
    kind: str
    shape: tuple[int, ...]
    start: int
    end: int


class Safetensors(Closing):
    """One open file. The numbers stay in its mapping until they are asked for.

    Raises:
        ExportDamagedError: cut off, contradicting itself, or another kind of file.
    """

    def __init__(self, source: Source) -> None:
        """Map `source`, which may be closed afterwards."""
        self._name = source.name
        try:
            self._data = mmap.mmap(source.descriptor, 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise self._damaged("can't be mapped") from error
        try:
            self._tensors, self._begin = self._table()
        except BaseException:
            self._data.close()
            raise

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every tensor's sides by its name."""
        return {name: tensor.shape for name, tensor in self._tensors.items()}

    def floats(self, name: str, *shape: int) -> Floats:
        """A tensor of 32-bit, 16-bit or brain floats, all of which are numbers.

        Raises:
            ExportDamagedError: it isn't there, or is of another shape or type.
        """
        tensor = self._tensors.get(name)
        if tensor is None or tensor.shape != shape or tensor.kind not in _FLOATS:
            raise self._damaged(f"tensor {name[:100]!r} is missing, of another shape or of another type")
        count, start = math.prod(shape), self._begin + tensor.start
        values: Floats
        # No name for what lies in the mapping: it couldn't be closed where an error holds on to it.
        if tensor.kind == "BF16":  # the upper half of a 32-bit float
            halves = np.frombuffer(self._data, "<u2", count, start).astype(np.uint32)
            values = (halves << np.uint32(16)).view(np.float32)
        else:
            stored = "<f4" if tensor.kind == "F32" else "<f2"
            values = np.frombuffer(self._data, stored, count, start).astype(np.float32)
        if not np.isfinite(values).all():
            raise self._damaged(f"tensor {name[:100]!r} holds what is no number")
        return values.reshape(shape)

    def close(self) -> None:
        self._data.close()

    def _table(self) -> tuple[dict[str, _Tensor], int]:
        length = int.from_bytes(self._data[:_LENGTH_BYTES], "little")
        begin = _LENGTH_BYTES + length
        if len(self._data) < _LENGTH_BYTES or length > TABLE_BYTES or begin > len(self._data):
            raise self._damaged("its table is longer than the file, or than any")
        said = self._object(parsed(self._data[_LENGTH_BYTES:begin], self._name))
        said.pop(_METADATA, None)
        if not 0 < len(said) <= _TENSORS_MAX:
            raise self._damaged("an impossible number of tensors")
        tensors = {self._called(name): self._tensor(self._object(entry)) for name, entry in said.items()}
        place = 0
        for tensor in sorted(tensors.values(), key=lambda tensor: (tensor.start, tensor.end)):
            if tensor.start != place:
                raise self._damaged("tensors overlap, or leave a gap")
            place = tensor.end
        if begin + place != len(self._data):
            raise self._damaged("tensors end before or behind the file")
        return tensors, begin

    def _tensor(self, said: dict[str, Any]) -> _Tensor:
        kind, shape, places = said.get("dtype"), said.get("shape"), said.get("data_offsets")
        if set(said) != {"dtype", "shape", "data_offsets"} or not isinstance(kind, str) or kind not in _WIDTHS:
            raise self._damaged("a tensor of unknown type")
        sides, (start, end) = self._numbers(shape, _SIDE_MAX), self._two(places)
        if len(sides) > _SIDES_MAX or end - start != math.prod(sides) * _WIDTHS[kind]:
            raise self._damaged("a tensor that doesn't fill its shape")
        return _Tensor(kind, sides, start, end)

    def _two(self, said: object) -> tuple[int, int]:
        places = self._numbers(said, len(self._data))
        if len(places) != 2:
            raise self._damaged("a tensor without a place")
        return places[0], places[1]

    def _numbers(self, said: object, most: int) -> tuple[int, ...]:
        if not isinstance(said, list) or not all(type(number) is int and 0 <= number <= most for number in said):
            raise self._damaged("a number that none can be")
        return tuple(said)

    def _called(self, name: str) -> str:
        if len(name) > _NAME_CHARS:
            raise self._damaged("a name that is too long")
        return name

    def _object(self, said: object) -> dict[str, Any]:
        if not isinstance(said, dict):
            raise self._damaged("a part of the table that is none")
        return said

    def _damaged(self, detail: str) -> ExportDamagedError:
        return ExportDamagedError(detail, name=self._name)


class Checkpoint(Closing):
    """All tensors of a model, whichever file each is in; closes the files with itself."""

    def __init__(self, files: Sequence[Safetensors], name: str) -> None:
        """`name` is what people are told if something is wrong.

        Raises:
            ExportDamagedError: two files have a tensor of the same name.
        """
        self._files, self._name = files, name
        self._where = {tensor: file for file in files for tensor in file.shapes}
        if len(self._where) != sum(len(file.shapes) for file in files):
            self.close()
            raise ExportDamagedError("a tensor in two files", name=name)
        self.shapes = {tensor: file.shapes[tensor] for tensor, file in self._where.items()}

    def floats(self, name: str, *shape: int) -> Floats:
        """As `Safetensors.floats`."""
        if name not in self._where:
            raise ExportDamagedError(f"no tensor {name[:100]!r}", name=self._name)
        return self._where[name].floats(name, *shape)

    def close(self) -> None:
        for file in self._files:
            file.close()


def places(data: bytes, name: str) -> dict[str, str]:
    """Which file each tensor is in, by a `model.safetensors.index.json`.

    Raises:
        ExportDamagedError: not of this form, or a file that isn't beside it.
    """
    said = parsed(data, name)
    listed = said.get("weight_map") if isinstance(said, dict) else None
    if not isinstance(listed, dict) or not 0 < len(listed) <= _TENSORS_MAX:
        raise ExportDamagedError("lists no tensors", name=name)
    if not all(isinstance(file, str) and FILE.fullmatch(file) for file in listed.values()):
        raise ExportDamagedError("names a file that isn't beside it", name=name)
    if len(set(listed.values())) > FILES_MAX:
        raise ExportDamagedError("too many files", name=name)
    return listed


def parsed(data: bytes, name: str) -> object:
    """JSON in which nothing is said twice.

    Raises:
        ExportDamagedError: it is none.
    """
    try:
        return json.loads(data, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise ExportDamagedError(f"JSON: {type(error).__name__}", name=name) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    said = dict(pairs)
    if len(said) != len(pairs):
        raise ValueError("a name twice")
    return said
