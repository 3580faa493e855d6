"""Where everything lies in a GGUF file, for whoever writes it anew with other types of tensors.

Only for bytes that `gguf.parse` has found whole: nothing is checked a second time here.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from appliance.inference.gguf import Data
from appliance.inference.gguf_types import SCALARS, TENSORS

_STRING, _ARRAY, _UINT32 = 8, 9, 4
_VERSION: Final = 3
_DEFAULT_ALIGNMENT: Final = 32
_FILE_TYPE, _QUANTIZER = "general.file_type", "general.quantization_version"
_QUANTIZER_VERSION: Final = 2
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Placed:
    """One tensor and where its bytes begin in the file."""

    name: str
    sides: tuple[int, ...]
    """The length of a row first."""
    kind: int
    """A number of `gguf_types.TENSORS`."""
    start: int

    @property
    def row(self) -> int:
        """Numbers in a row."""
        return self.sides[0]

    @property
    def rows(self) -> int:
        return math.prod(self.sides[1:])

    def size(self, kind: int | None = None) -> int:
        """Bytes, as it is or as it would be with another type."""
        return row_bytes(self.row, self.kind if kind is None else kind) * self.rows


@dataclass(frozen=True)
class Layout:
    """What a file holds; `entries` are kept as they are written, type and value."""

    entries: dict[str, bytes]
    tensors: tuple[Placed, ...]
    alignment: int

    def text(self, key: str) -> str:
        """A text of the entries; empty if there is none."""
        raw = self.entries.get(key, b"")
        return raw[12:].decode() if raw[:4] == _U32.pack(_STRING) else ""

    def header(self, kinds: Sequence[int], file_type: int) -> bytes:
        """The beginning of a file with the same entries and tensors, these of the types `kinds`."""
        said = {
            **self.entries,
            _FILE_TYPE: _U32.pack(_UINT32) + _U32.pack(file_type),
            _QUANTIZER: _U32.pack(_UINT32) + _U32.pack(_QUANTIZER_VERSION),
        }
        parts = [b"GGUF", struct.pack("<IQQ", _VERSION, len(self.tensors), len(said))]
        parts += [_text(key) + value for key, value in said.items()]
        place = 0
        for tensor, kind in zip(self.tensors, kinds, strict=True):
            sides = struct.pack(f"<I{len(tensor.sides)}Q", len(tensor.sides), *tensor.sides)
            parts.append(_text(tensor.name) + sides + struct.pack("<IQ", kind, place))
            place += padded(tensor.size(kind), self.alignment)
        header = b"".join(parts)
        return header + bytes(padded(len(header), self.alignment) - len(header))


def row_bytes(row: int, kind: int) -> int:
    """Bytes that a row of `row` numbers takes."""
    form = TENSORS[kind]
    return row // form.block * form.bytes


def padded(size: int, alignment: int) -> int:
    """`size` up to the next multiple of `alignment`."""
    return -(-size // alignment) * alignment


def layout(data: Data) -> Layout:
    """The layout of the file that begins with `data`."""
    reader = _Reader(data, place=8)
    tensor_count, entry_count = reader.number(_U64), reader.number(_U64)
    entries: dict[str, bytes] = {}
    for _ in range(entry_count):
        key = reader.text()
        begin = reader.place
        reader.skip(reader.number(_U32))
        entries[key] = bytes(data[begin : reader.place])
    found = [_tensor(reader) for _ in range(tensor_count)]
    alignment = _alignment(entries)
    start = padded(reader.place, alignment)
    tensors = tuple(Placed(name, sides, kind, start + offset) for name, sides, kind, offset in found)
    return Layout(entries, tensors, alignment)


@dataclass
class _Reader:
    data: Data
    place: int
    sizes: dict[int, int] = field(default_factory=lambda: {kind: form.size for kind, form in SCALARS.items()})

    def number(self, form: struct.Struct) -> int:
        value = form.unpack_from(self.data, self.place)[0]
        self.place += form.size
        return int(value)

    def text(self) -> str:
        length = self.number(_U64)
        self.place += length
        return bytes(self.data[self.place - length : self.place]).decode()

    def skip(self, kind: int) -> None:
        """Go past a value of that type."""
        if kind == _STRING:
            length = self.number(_U64)
            self.place += length
        elif kind == _ARRAY:
            inner, count = self.number(_U32), self.number(_U64)
            if inner == _STRING:
                for _ in range(count):
                    self.skip(inner)
            else:
                self.place += count * self.sizes[inner]
        else:
            self.place += self.sizes[kind]


def _tensor(reader: _Reader) -> tuple[str, tuple[int, ...], int, int]:
    name = reader.text()
    sides = tuple(reader.number(_U64) for _ in range(reader.number(_U32)))
    return name, sides, reader.number(_U32), reader.number(_U64)


def _alignment(entries: dict[str, bytes]) -> int:
    raw = entries.get("general.alignment")
    return _DEFAULT_ALIGNMENT if raw is None else int.from_bytes(raw[4:], "little")


def _text(value: str) -> bytes:
    raw = value.encode()
    return _U64.pack(len(raw)) + raw
