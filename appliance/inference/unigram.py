"""Makes the vocabulary that our engine reads out of a `tokenizer.json`, for files that nobody has vouched for.

Only XLM-RoBERTa's kind is understood: Unigram pieces behind four fixed tokens. Its table of normalised characters is
a compiled trie, in which the engine's library follows places without looking where they lead: so each is looked at
here. What comes out is written by us, field by field.
"""

import base64
import binascii
import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

FILE_BYTES: Final = 64 << 20
"""The largest file that is read; a vocabulary of 250,000 pieces takes 17 MB."""

_FIXED: Final = ("<s>", "<pad>", "</s>", "<unk>")
_UNKNOWN: Final = 3
_MASK: Final = "<mask>"
_SPACE: Final = "\u2581"
_PIECES: Final = range(8, 1 << 20)
_PIECE_BYTES: Final = 1024
_SCORE: Final = 1e6
_CHARSMAP_BYTES: Final = 16 << 20
_STEPS_MAX: Final = 16
_SPACES: Final = frozenset({" {2,}", " +", "\\s+", " "})
"""Patterns that only put spaces together, which the engine does anyway."""
_NORMAL_PIECE, _UNKNOWN_PIECE, _CONTROL_PIECE = 1, 2, 3
_UNIT, _LEAF = 4, 1 << 31


class VocabularyError(Exception):
    """The file is damaged, cut off, or no vocabulary can be so; the text is for the log."""


class UnknownVocabularyError(Exception):
    """A vocabulary that may be whole, but of a kind that the engine doesn't read."""


@dataclass(frozen=True)
class Vocabulary:
    """What was made of it."""

    size: int
    """Pieces, the fixed ones included."""
    model: bytes
    """In the form that the engine reads: SentencePiece's, or for BERT's pieces our own."""
    kind: Literal["unigram", "wordpiece"] = "unigram"


def convert(data: bytes) -> Vocabulary:
    """The vocabulary of a `tokenizer.json`.

    Raises:
        VocabularyError: for everything that is not right.
        UnknownVocabularyError: another kind of vocabulary.
    """
    return made(read(data))


def read(data: bytes) -> dict[str, Any]:
    """What a `tokenizer.json` of any kind says. Raises VocabularyError."""
    if len(data) > FILE_BYTES:
        raise VocabularyError("is too long")
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        raise VocabularyError("is not JSON") from None
    return as_object(said)


def made(document: dict[str, Any]) -> Vocabulary:
    """The vocabulary of what was read; see `convert`."""
    model = as_object(document.get("model"))
    if model.get("type", "Unigram") != "Unigram" or not isinstance(model.get("vocab"), list):
        raise UnknownVocabularyError("not Unigram")
    pieces = _pieces(model["vocab"])
    if model.get("unk_id") != _UNKNOWN or tuple(text for text, _score in pieces[:4]) != _FIXED:
        raise UnknownVocabularyError("other fixed tokens")
    if model.get("byte_fallback"):
        raise UnknownVocabularyError("falls back to bytes")
    _demand_cut_at_spaces(document.get("pre_tokenizer"))
    _demand_marks(document.get("post_processor"))
    _demand_no_more(document.get("added_tokens"), pieces)
    return Vocabulary(len(pieces), _written(pieces, _charsmap(document.get("normalizer"))))


def as_object(value: object) -> dict[str, Any]:
    """Raises VocabularyError."""
    if not isinstance(value, dict):
        raise VocabularyError("lacks a part")
    return value


def _pieces(listed: list[object]) -> list[tuple[str, float]]:
    if len(listed) not in _PIECES:
        raise VocabularyError("has an impossible number of pieces")
    pieces: list[tuple[str, float]] = []
    for entry in listed:
        if not isinstance(entry, list) or len(entry) != 2:
            raise VocabularyError("has a piece that is none")
        text, score = entry
        if not isinstance(text, str) or isinstance(score, bool) or not isinstance(score, int | float):
            raise VocabularyError("has a piece that is none")
        if not 0 < len(text) <= _PIECE_BYTES or "\0" in text or not math.isfinite(score) or abs(score) > _SCORE:
            raise VocabularyError("has an impossible piece")
        pieces.append((text, float(score)))
    if len({text for text, _score in pieces}) != len(pieces):
        raise VocabularyError("has a piece twice")
    return pieces


def _demand_cut_at_spaces(said: object) -> None:
    """Words are cut at spaces and begin with a mark; what cuts elsewhere gives other pieces than the engine."""
    kinds = [step.get("type") for step in _steps(said, "pretokenizers")]
    marks = [step for step in _steps(said, "pretokenizers") if step.get("type") == "Metaspace"]
    if len(marks) != 1 or set(kinds) - {"Metaspace", "WhitespaceSplit"}:
        raise UnknownVocabularyError("cut in another way")
    mark = marks[0]
    begins = mark.get("prepend_scheme", "always") in ("always", "first") and mark.get("add_prefix_space", True)
    if mark.get("replacement") != _SPACE or not begins:
        raise UnknownVocabularyError("cut in another way")


def _demand_marks(said: object) -> None:
    """A text stands between begin and end, as the engine puts it."""
    processor = as_object(said)
    if processor.get("type") == "RobertaProcessing":
        if processor.get("cls") != ["<s>", 0] or processor.get("sep") != ["</s>", 2]:
            raise UnknownVocabularyError("other marks around a text")
        return
    single = processor.get("single")
    if processor.get("type") != "TemplateProcessing" or not isinstance(single, list):
        raise UnknownVocabularyError("other marks around a text")
    order = [_marked(part) for part in single[:4]]
    if order != ["<s>", "", "</s>"]:
        raise UnknownVocabularyError("other marks around a text")


def _marked(part: object) -> str:
    """The token's name; empty for the text itself."""
    token = part.get("SpecialToken") if isinstance(part, dict) else None
    return str(token.get("id")) if isinstance(token, dict) else ""


def added(said: object) -> Iterator[tuple[int, str]]:
    """Number and text of each word that was added later. Raises VocabularyError."""
    if said is None:
        return
    if not isinstance(said, list):
        raise VocabularyError("has added tokens that are none")
    for entry in said:
        token = as_object(entry)
        number, text = token.get("id"), token.get("content")
        if not isinstance(number, int) or not isinstance(text, str):
            raise VocabularyError("has added tokens that are none")
        yield number, text


def _demand_no_more(said: object, pieces: list[tuple[str, float]]) -> None:
    """Words that were added later are cut out of a text before anything else; the engine has no such step."""
    for number, text in added(said):
        known = 0 <= number < len(pieces) and pieces[number][0] == text
        if text not in (*_FIXED, _MASK) or not (known or (text == _MASK and number == len(pieces))):
            raise UnknownVocabularyError("words of its own")


def _steps(said: object, inside: str) -> list[dict[str, Any]]:
    """A step, or the steps of a sequence of them."""
    if said is None:
        return []
    step = as_object(said)
    if step.get("type") != "Sequence":
        return [step]
    steps = step.get(inside)
    if not isinstance(steps, list) or len(steps) > _STEPS_MAX:
        raise VocabularyError("has impossible steps")
    return [as_object(part) for part in steps]


# -- the table of normalised characters


def _charsmap(said: object) -> bytes:
    """Empty if nothing is normalised."""
    tables = []
    for step in _steps(said, "normalizers"):
        kind = step.get("type")
        if kind == "Precompiled":
            tables.append(step.get("precompiled_charsmap"))
        elif kind == "Replace":
            pattern = step.get("pattern")
            text = (pattern.get("Regex") or pattern.get("String")) if isinstance(pattern, dict) else None
            if text not in _SPACES or step.get("content") not in (" ", _SPACE):
                raise UnknownVocabularyError("normalised in another way")
        elif kind != "Strip":
            raise UnknownVocabularyError("normalised in another way")
    if not tables or not tables[0]:
        return b""
    if len(tables) > 1 or not isinstance(tables[0], str) or len(tables[0]) > 2 * _CHARSMAP_BYTES:
        raise VocabularyError("has an impossible table of characters")
    try:
        table = base64.b64decode(tables[0], validate=True)
    except (binascii.Error, ValueError):
        raise VocabularyError("has a table of characters that is none") from None
    check_charsmap(table)
    return table


def check_charsmap(table: bytes) -> None:
    """Follow every way through the trie.

    Raises:
        VocabularyError: one leads out of it, or to a text that is none.
    """
    impossible = VocabularyError("has a table of characters that leads outside")
    if not 4 < len(table) <= _CHARSMAP_BYTES:
        raise impossible
    size = int.from_bytes(table[:4], "little")
    texts = table[4 + size :]
    if not size or size % _UNIT or 4 + size >= len(table) or texts[-1:] != b"\0":
        raise impossible
    try:
        texts.decode()
    except UnicodeDecodeError:
        raise impossible from None
    units = struct.unpack(f"<{size // _UNIT}I", table[4 : 4 + size])
    for place, unit in enumerate(units):
        if unit & _LEAF and place:  # no byte leads to it; at the root every search begins
            continue
        onward = place ^ ((unit >> 10) << ((unit & (1 << 9)) >> 6))
        if onward | 0xFF >= len(units):
            raise impossible
        if unit >> 8 & 1:
            text = units[onward] & (_LEAF - 1)
            # Each text begins where another ends.
            if text >= len(texts) or (text and texts[text - 1]):
                raise impossible


# -- SentencePiece's form


def _written(pieces: list[tuple[str, float]], charsmap: bytes) -> bytes:
    return b"".join(_messages(pieces, charsmap))


def _messages(pieces: list[tuple[str, float]], charsmap: bytes) -> Iterator[bytes]:
    for number, (text, score) in enumerate(pieces):
        kind = _NORMAL_PIECE
        if number == _UNKNOWN:
            kind = _UNKNOWN_PIECE
        elif text == _MASK or number < len(_FIXED):
            kind = _CONTROL_PIECE
        try:
            words = text.encode()
        except UnicodeEncodeError:
            raise VocabularyError("has a piece that is no text") from None
        yield _span(1, _span(1, words) + b"\x15" + struct.pack("<f", score) + _number(3, kind))
    trainer = _number(3, 1) + _number(4, len(pieces))
    for field, number in ((40, 3), (41, 0), (42, 2), (43, 1)):
        trainer += _number(field, number)
    yield _span(2, trainer)
    yield _span(3, _span(1, b"xlmr") + _span(2, charsmap) + _number(3, 1) + _number(4, 1) + _number(5, 1))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _span(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
