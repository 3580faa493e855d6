"""What a GGUF file says of itself: our own bounded reader of its header, for files that nobody has vouched for.

The header alone decides whether an engine gets to see the file: native loaders abort or read out of bounds on
some headers, so whatever is not plainly right is refused here. Pure Python, no file access: it is given the bytes.
"""

import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from mmap import mmap
from typing import Any, Final, TypeAlias

from appliance.inference.gguf_header import Header
from appliance.inference.gguf_types import ENCODERS, FILE_TYPES, POOLINGS, SCALARS, TENSORS, TensorType
from appliance.inference.thinking import takes_tools, thinks

Data: TypeAlias = bytes | mmap

HEADER_BYTES: Final = 256 << 20
"""The largest header that is read; a vocabulary of 256,000 words takes about 10 MB."""

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_STRING, _ARRAY = 8, 9
_FLOAT32, _INTEGERS = 6, frozenset({0, 1, 2, 3, 4, 5, 10, 11})
_ENTRIES_MAX, _TENSORS_MAX, _ELEMENTS_MAX = 4096, 65_536, 1 << 23
_KEY_BYTES, _NAME_BYTES, _TEXT_BYTES = 256, 63, 1 << 20
_KEPT_ELEMENTS = 1024
"""Arrays up to this length are kept (e.g. one number per layer), longer ones only measured."""
_RECURRENT = frozenset({"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"})
"""Architectures without attention, which say that they have 0 heads; for others that is a division by zero."""
_DIMENSIONS_MAX, _SIDE_MAX, _PARAMETERS_MAX = 4, 1 << 32, 1 << 45
_ARCHITECTURE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_BLOCKS_MAX, _CONTEXT_MAX, _WIDTH_MAX, _HEADS_MAX = 1024, 1 << 28, 1 << 20, 1 << 14
_LANGUAGES_MAX = 100


class GgufError(Exception):
    """The header is damaged, cut off, or says something no model can be; the text is for the log."""


@dataclass(frozen=True)
class _Array:
    kind: int
    length: int
    values: tuple[Any, ...] = ()


@dataclass
class _Cursor:
    """Reads forward, never beyond the header's bytes."""

    data: Data
    end: int
    place: int = 0

    def take(self, size: int) -> bytes:
        start, after = self.place, self.place + size
        if after > self.end:
            raise GgufError("ends in the middle of its header")
        self.place = after
        return self.data[start:after]

    def number(self, form: struct.Struct) -> Any:
        return form.unpack(self.take(form.size))[0]

    def text(self, longest: int) -> str:
        length = self.number(_U64)
        if length > longest:
            raise GgufError("a text is too long")
        try:
            return self.take(length).decode()
        except UnicodeDecodeError:
            raise GgufError("a text is not UTF-8") from None

    def skip_texts(self, count: int) -> None:
        """Pass over texts without looking at them; a vocabulary has a few hundred thousand."""
        place, end, unpack = self.place, self.end, _U64.unpack_from
        for _ in range(count):
            if place + 8 > end:
                raise GgufError("ends in the middle of its header")
            length = unpack(self.data, place)[0]
            if length > _TEXT_BYTES:
                raise GgufError("a text is too long")
            place += 8 + length
        if place > end:
            raise GgufError("ends in the middle of its header")
        self.place = place


_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")


def parse(data: Data, size: int) -> Header:
    """The header of a GGUF file of `size` bytes whose first ones are `data`.

    Raises:
        GgufError: for everything that is not right; never anything else.
    """
    version, entries, tensors = _read(data, size)
    return _Reading(entries).header(version, tensors)


def chat_template(data: Data, size: int) -> str:
    """The template that puts a conversation into the model's form, in Jinja; empty if there is none.

    Raises:
        GgufError: as `parse`.
    """
    _version, entries, _tensors = _read(data, size)
    return _Reading(entries).template()


def _read(data: Data, size: int) -> tuple[int, dict[str, Any], list["_Tensor"]]:
    """Version, entries and tensors, each of which can be."""
    cursor = _Cursor(data, min(len(data), size, HEADER_BYTES))
    if cursor.take(4) != _MAGIC:
        raise GgufError("is not a GGUF file")
    version = cursor.number(_U32)
    if version not in _VERSIONS:
        raise GgufError("has a version or byte order that is not known")
    tensor_count, entry_count = cursor.number(_U64), cursor.number(_U64)
    if not 0 < tensor_count <= _TENSORS_MAX or not 0 < entry_count <= _ENTRIES_MAX:
        raise GgufError("has an impossible number of entries")
    entries = _entries(cursor, entry_count)
    tensors = _tensors(cursor, tensor_count)
    _check_places(tensors, _alignment(entries), cursor.place, size)
    return version, entries, tensors


# -- entries


def _entries(cursor: _Cursor, count: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(count):
        key = cursor.text(_KEY_BYTES)
        if not key or key in found:
            raise GgufError("has a key twice or an empty one")
        found[key] = _value(cursor, cursor.number(_U32))
    return found


def _value(cursor: _Cursor, kind: int) -> Any:
    if kind == _STRING:
        return cursor.text(_TEXT_BYTES)
    if kind == _ARRAY:
        return _array(cursor, cursor.number(_U32), cursor.number(_U64))
    if kind not in SCALARS:
        raise GgufError("has a value of unknown type")
    return cursor.number(SCALARS[kind])


def _array(cursor: _Cursor, kind: int, length: int) -> _Array:
    if length > _ELEMENTS_MAX:
        raise GgufError("has an array that is too long")
    if kind == _STRING:
        if length <= _LANGUAGES_MAX:
            return _Array(kind, length, tuple(cursor.text(_TEXT_BYTES) for _ in range(length)))
        cursor.skip_texts(length)
        return _Array(kind, length)
    if kind not in SCALARS:
        raise GgufError("has an array of unknown type")
    form = SCALARS[kind]
    raw = cursor.take(length * form.size)
    values = tuple(value for (value,) in form.iter_unpack(raw)) if length <= _KEPT_ELEMENTS else ()
    return _Array(kind, length, values)


def _alignment(entries: dict[str, Any]) -> int:
    wish = entries.get("general.alignment", 32)
    if not isinstance(wish, int) or not 8 <= wish <= 1 << 16 or wish & (wish - 1):
        raise GgufError("has an impossible alignment")
    return wish


# -- tensors


@dataclass(frozen=True, slots=True)
class _Tensor:
    name: str
    kind: TensorType
    elements: int
    size: int
    offset: int


def _tensors(cursor: _Cursor, count: int) -> list[_Tensor]:
    found = [_tensor(cursor) for _ in range(count)]
    if len({tensor.name for tensor in found}) != count:
        raise GgufError("has a tensor twice")
    return found


def _tensor(cursor: _Cursor) -> _Tensor:
    name = cursor.text(_NAME_BYTES)
    dimensions = cursor.number(_U32)
    if not name or not 1 <= dimensions <= _DIMENSIONS_MAX:
        raise GgufError("has a tensor of impossible shape")
    sides = [cursor.number(_U64) for _ in range(dimensions)]
    kind = TENSORS.get(cursor.number(_U32))
    offset = cursor.number(_U64)
    if kind is None:
        raise GgufError("has a tensor of unknown type")
    elements = math.prod(sides)
    if not all(0 < side <= _SIDE_MAX for side in sides) or elements > _PARAMETERS_MAX or sides[0] % kind.block:
        raise GgufError("has a tensor of impossible shape")
    return _Tensor(name, kind, elements, elements // kind.block * kind.bytes, offset)


def _check_places(tensors: Sequence[_Tensor], alignment: int, header: int, size: int) -> None:
    """Every tensor lies inside the file, at a multiple of the alignment, on nobody else's bytes."""
    start = -(-header // alignment) * alignment
    free = 0
    for tensor in sorted(tensors, key=lambda tensor: tensor.offset):
        if tensor.offset % alignment or tensor.offset < free:
            raise GgufError("has tensors at impossible places")
        free = tensor.offset + tensor.size
        if start + free > size:
            raise GgufError("is cut off: a tensor lies outside")


# -- meaning


@dataclass(frozen=True)
class _Reading:
    """The entries by meaning; a value of the wrong type or size is refused, not guessed at."""

    entries: dict[str, Any]
    architecture: str = field(init=False)

    def __post_init__(self) -> None:
        architecture = self._text("general.architecture", 64)
        if not _ARCHITECTURE.fullmatch(architecture):
            raise GgufError("names no architecture")
        object.__setattr__(self, "architecture", architecture)

    def header(self, version: int, tensors: Sequence[_Tensor]) -> Header:
        kind = self._text("general.type", 64) or "model"
        vocabulary = self._text("tokenizer.ggml.model", 64)
        whole = kind == "model" and vocabulary not in ("", "none")
        blocks = self._own("block_count", 1, _BLOCKS_MAX, needed=whole)
        width = self._own("embedding_length", 1, _WIDTH_MAX, needed=whole)
        experts = self._own("expert_count", 0, 1 << 16)
        if self._own("expert_used_count", 0, 1 << 16) > experts:
            raise GgufError("uses more experts than it has")
        return Header(
            version=version,
            architecture=self.architecture,
            kind=kind,
            name=self._text("general.name", 1000)[:200],
            licence=self._text("general.license", 1000)[:100],
            languages=self._languages(),
            vocabulary=vocabulary,
            vocabulary_size=self._vocabulary_size(needed=whole),
            context=self._own("context_length", 1, _CONTEXT_MAX, needed=whole),
            blocks=blocks,
            width=width,
            cache_bytes_per_token=0 if self.architecture in ENCODERS else self._cache(blocks, width),
            parameters=sum(tensor.elements for tensor in tensors),
            quantization=self._quantization(tensors),
            template=len(self.template()),
            thinks=thinks(self.template()),
            tools=takes_tools(self.template()),
            splits=max(1, self._integer("split.count", 0, 1 << 16)),
            pooling=POOLINGS[self._own("pooling_type", 0, len(POOLINGS) - 1)],
            scored="tokenizer.ggml.scores" in self.entries,
            output=any(tensor.name == "output.weight" for tensor in tensors),
            tensor_types=tuple(sorted({tensor.kind.name for tensor in tensors})),
        )

    def template(self) -> str:
        return self._text("tokenizer.chat_template", _TEXT_BYTES)

    def _text(self, key: str, longest: int) -> str:
        value = self.entries.get(key, "")
        if not isinstance(value, str) or len(value) > longest:
            raise GgufError(f"{key} is not a short text")
        return value

    def _integer(self, key: str, least: int, most: int, *, needed: bool = False) -> int:
        value = self.entries.get(key)
        if value is None and not needed:
            return 0
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise GgufError("a number that the model can't do without is missing or impossible")
        return value

    def _own(self, key: str, least: int, most: int, *, needed: bool = False) -> int:
        """A number of this architecture; 0 if it doesn't say."""
        return self._integer(f"{self.architecture}.{key}", least, most, needed=needed)

    def _languages(self) -> tuple[str, ...]:
        value = self.entries.get("general.languages")
        if not isinstance(value, _Array) or value.kind != _STRING:
            return ()
        return tuple(str(code)[:40] for code in value.values)

    def _vocabulary_size(self, *, needed: bool) -> int:
        """Loaders take scores and types for as long as the words without looking: so they must be."""
        words = self.entries.get("tokenizer.ggml.tokens")
        if words is None and not needed:
            return 0
        if not isinstance(words, _Array) or words.kind != _STRING or not words.length:
            raise GgufError("has no vocabulary")
        for key, kinds in (("scores", {_FLOAT32}), ("token_type", _INTEGERS)):
            beside = self.entries.get(f"tokenizer.ggml.{key}")
            if beside is None:
                continue
            if not isinstance(beside, _Array) or beside.kind not in kinds or beside.length != words.length:
                raise GgufError("has a vocabulary that doesn't fit together")
        return words.length

    def _cache(self, blocks: int, width: int) -> int:
        heads = self._per_block("attention.head_count", blocks)
        cached = self._per_block("attention.head_count_kv", blocks) if self._has("attention.head_count_kv") else heads
        most = max(heads, default=0)
        if not most:
            return 0  # no attention, no cache of this kind
        key = self._own("attention.key_length", 1, 1 << 16) or width // most
        value = self._own("attention.value_length", 1, 1 << 16) or width // most
        return 2 * sum(cached) * (key + value)

    def _has(self, key: str) -> bool:
        return f"{self.architecture}.{key}" in self.entries

    def _per_block(self, key: str, blocks: int) -> list[int]:
        """One number for all layers, or one for each; some layers of mixed architectures have none."""
        value = self.entries.get(f"{self.architecture}.{key}")
        if not isinstance(value, _Array):
            least = 0 if self.architecture in _RECURRENT else 1
            return [self._own(key, least, _HEADS_MAX)] * blocks
        if value.kind not in _INTEGERS or len(value.values) < blocks:
            raise GgufError("has no number for each layer")
        numbers = [int(number) for number in value.values[:blocks]]
        if not all(0 <= number <= _HEADS_MAX for number in numbers):
            raise GgufError("has an impossible number of heads")
        return numbers

    def _quantization(self, tensors: Sequence[_Tensor]) -> str:
        """What the file says; the type that takes most of its bytes where it says nothing known."""
        if "general.file_type" in self.entries:
            named = FILE_TYPES.get(self._integer("general.file_type", 0, 1 << 16))
            if named:
                return named
        sizes: dict[str, int] = {}
        for tensor in tensors:
            sizes[tensor.kind.name] = sizes.get(tensor.kind.name, 0) + tensor.size
        return max(sizes, key=lambda name: sizes[name])
