"""The wire of ONNX's protobuf: fields by number, as far as a model may have them, and its types of numbers."""

from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap
from typing import Final, TypeAlias

Data: TypeAlias = bytes | mmap

_FIELDS_MAX: Final = 2_000_000
_TEXT_BYTES: Final = 1024
_VARINT, _FIXED64, _SPAN, _FIXED32 = 0, 1, 2, 5


class OnnxError(Exception):
    """The file is damaged, cut off, or says something no model may; the text is for the log."""


@dataclass(frozen=True)
class Message:
    """Which fields it has; those outside of `repeated` at most once."""

    fields: frozenset[int]
    repeated: frozenset[int] = frozenset()


def _message(once: set[int], repeated: set[int] | None = None) -> Message:
    many = frozenset(repeated or ())
    return Message(many | once, many)


MODEL: Final = _message({1, 2, 3, 4, 5, 6, 7}, {8, 14})
"""Training (20) and functions of the file's own (25) are left out: what they do can't be told from their names."""
OPSET: Final = _message({1, 2})
GRAPH: Final = _message({2, 10}, {1, 5, 11, 12, 13, 14, 15, 16})
NODE: Final = _message({3, 4, 6, 7, 8}, {1, 2, 5, 9})
ATTRIBUTE: Final = _message({1, 2, 3, 4, 5, 6, 13, 14, 20, 22}, {7, 8, 9, 10, 11, 15, 23})
TENSOR: Final = _message({2, 8, 9, 12, 14}, {1, 4, 5, 6, 7, 10, 11, 13, 16})
SPARSE: Final = _message({1, 2}, {3})
VALUE: Final = _message({1, 2, 3}, {4})
TYPE: Final = _message({1, 4, 5, 6, 7, 8, 9})
TENSOR_TYPE: Final = _message({1, 2})
SHAPE: Final = _message(set(), {1})
DIMENSION: Final = _message({1, 2, 3})
ENTRY: Final = _message({1, 2})

TYPES: Final[dict[str, int]] = {
    "": 0, "FLOAT": 32, "UINT8": 8, "INT8": 8, "UINT16": 16, "INT16": 16, "INT32": 32, "INT64": 64, "STRING": 0,
    "BOOL": 8, "FLOAT16": 16, "DOUBLE": 64, "UINT32": 32, "UINT64": 64, "COMPLEX64": 64, "COMPLEX128": 128,
    "BFLOAT16": 16, "FLOAT8E4M3FN": 8, "FLOAT8E4M3FNUZ": 8, "FLOAT8E5M2": 8, "FLOAT8E5M2FNUZ": 8, "UINT4": 4,
    "INT4": 4, "FLOAT4E2M1": 4, "FLOAT8E8M0": 8, "UINT2": 2, "INT2": 2,
}  # fmt: skip
"""Bits of one number, in the order of ONNX's own numbers for them."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message: a number, or where its bytes are."""

    number: int
    wire: int
    start: int
    """Where its bytes begin; for a number, the number itself."""
    end: int

    def value(self) -> int:
        """The number."""
        if self.wire != _VARINT:
            raise OnnxError("has a field of another type")
        return self.start

    def span(self) -> tuple[int, int]:
        """Where its bytes begin and end."""
        if self.wire != _SPAN:
            raise OnnxError("has a field of another type")
        return self.start, self.end

    @property
    def is_number(self) -> bool:
        return self.wire == _VARINT


class Wire:
    """Reads a file's messages; so many fields in all and no more, whatever the file says of itself."""

    def __init__(self, data: Data) -> None:
        self._data = data
        self._left = _FIELDS_MAX

    def fields(self, message: Message, start: int, end: int) -> Iterator[Field]:
        """The fields of a message between two places, each of which it may have there."""
        seen: set[int] = set()
        place = start
        while place < end:
            self._left -= 1
            if self._left < 0:
                raise OnnxError("has too many fields")
            key, place = self.varint(place, end)
            number, wire = key >> 3, key & 7
            if number not in message.fields:
                raise OnnxError("has a field that is not known")
            if number in seen and number not in message.repeated:
                raise OnnxError("has a field twice")
            seen.add(number)
            if wire == _VARINT:
                value, place = self.varint(place, end)
                yield Field(number, wire, value, value)
                continue
            length = {_FIXED64: 8, _FIXED32: 4}.get(wire, -1)
            if wire == _SPAN:
                length, place = self.varint(place, end)
            if length < 0:
                raise OnnxError("has a field of unknown type")
            if place + length > end:
                raise OnnxError("ends in the middle")
            yield Field(number, wire, place, place + length)
            place += length

    def varint(self, place: int, end: int) -> tuple[int, int]:
        """A number, and the place after it."""
        value = 0
        for shift in range(0, 70, 7):
            if place >= end:
                raise OnnxError("ends in the middle")
            byte = self._data[place]
            place += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & 0xFFFFFFFFFFFFFFFF, place
        raise OnnxError("has a number that is too long")

    def text(self, found: Field) -> str:
        """A short text."""
        start, end = found.span()
        if end - start > _TEXT_BYTES:
            raise OnnxError("a text is too long")
        try:
            return self._data[start:end].decode()
        except UnicodeDecodeError:
            raise OnnxError("a text is not UTF-8") from None
