"""Makes the vocabulary that our engine reads out of BERT's, for files that nobody has vouched for.

WordPiece pieces with BERT's own way of cutting words are understood, out of a `tokenizer.json`, or of the older
`vocab.txt` with its `tokenizer_config.json`. What comes out is written by us: pieces and a few switches.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from appliance.inference.unigram import UnknownVocabularyError, Vocabulary, VocabularyError, added, as_object

CONFIG_BYTES: Final = 1 << 20

_UNKNOWN, _BEGIN, _END, _PAD, _MASK = "[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"
_MARKS: Final = (_UNKNOWN, _BEGIN, _END, _PAD)
_PIECES: Final = range(8, 1 << 20)
_PIECE_CHARS: Final = 256
_WORD_CHARS: Final = range(1, 1001)
_PREFIX: Final = "##"
_UNUSED: Final = re.compile(r"\[unused[0-9]{1,5}\]")
_CLASSES: Final = re.compile(r"(Bert|DistilBert|Electra|MobileBert|MPNet)Tokenizer(Fast)?")
_OTHER_WORDS: Final = frozenset({"MPNetTokenizer", "MPNetTokenizerFast"})
"""Cut as BERT's, between other marks."""


@dataclass(frozen=True)
class Casing:
    """What becomes of a text before it is cut."""

    lower: bool = True
    accents: bool = False
    """Whether accents stay."""
    split_chinese: bool = True
    """Whether each Chinese character is a word of its own."""


def convert(document: Mapping[str, Any]) -> Vocabulary:
    """The vocabulary of a `tokenizer.json` whose model is WordPiece.

    Raises:
        VocabularyError: for everything that is not right.
        UnknownVocabularyError: cut or marked in another way than BERT's.
    """
    model = as_object(document.get("model"))
    listed = as_object(model.get("vocab"))
    if len(listed) not in _PIECES:
        raise VocabularyError("has an impossible number of pieces")
    pieces: list[str | None] = [None] * len(listed)
    for text, number in listed.items():
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < len(pieces):
            raise VocabularyError("has a piece without a number")
        pieces[number] = text
    whole = [piece for piece in pieces if piece is not None]
    if len(whole) != len(pieces):
        raise VocabularyError("has a number twice")
    if model.get("unk_token") != _UNKNOWN or model.get("continuing_subword_prefix") != _PREFIX:
        raise UnknownVocabularyError("other marks in words")
    longest = model.get("max_input_chars_per_word", 100)
    if not isinstance(longest, int) or isinstance(longest, bool) or longest not in _WORD_CHARS:
        raise VocabularyError("has an impossible length of words")
    if as_object(document.get("pre_tokenizer") or {}).get("type") != "BertPreTokenizer":
        raise UnknownVocabularyError("cut in another way")
    casing = _casing(as_object(document.get("normalizer") or {}))
    numbers = {text: number for number, text in enumerate(whole)}
    _demand_marks(as_object(document.get("post_processor") or {}), numbers)
    _demand_no_more(document.get("added_tokens"), numbers)
    return _written(whole, casing, longest)


def listed(data: bytes, casing: Casing) -> Vocabulary:
    """The vocabulary of a `vocab.txt`: a piece in each line.

    Raises:
        VocabularyError, UnknownVocabularyError: as `convert`.
    """
    try:
        lines = data.decode("utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError:
        raise VocabularyError("is no text") from None
    if len(lines) not in _PIECES:
        raise VocabularyError("has an impossible number of pieces")
    return _written([line.removesuffix("\r") for line in lines], casing, 100)


def casing(data: bytes) -> Casing:
    """What a `tokenizer_config.json` says of the way in which texts are cut; BERT's own way where it says nothing.

    Raises:
        VocabularyError: for everything that is not right.
        UnknownVocabularyError: another way, such as that of Japanese BERT, which needs a dictionary.
    """
    if len(data) > CONFIG_BYTES:
        raise VocabularyError("is too long")
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        raise VocabularyError("is not JSON") from None
    said = as_object(said)
    name = said.get("tokenizer_class") or "BertTokenizer"
    if not isinstance(name, str) or not _CLASSES.fullmatch(name) or name in _OTHER_WORDS:
        raise UnknownVocabularyError("cut in another way")
    if (
        said.get("word_tokenizer_type", "basic") != "basic"
        or said.get("subword_tokenizer_type", "wordpiece") != "wordpiece"
    ):
        raise UnknownVocabularyError("cut in another way")
    if said.get("do_basic_tokenize", True) is not True or said.get("never_split"):
        raise UnknownVocabularyError("cut in another way")
    lower = _switch(said, "do_lower_case", default=True)
    strips = said.get("strip_accents")
    return Casing(
        lower=lower,
        accents=not (lower if strips is None else _switch(said, "strip_accents", default=True)),
        split_chinese=_switch(said, "tokenize_chinese_chars", default=True),
    )


def _switch(said: Mapping[str, Any], key: str, *, default: bool) -> bool:
    value = said.get(key, default)
    if not isinstance(value, bool):
        raise VocabularyError("has a switch that is none")
    return value


def _casing(said: Mapping[str, Any]) -> Casing:
    if said.get("type") != "BertNormalizer" or not _switch(said, "clean_text", default=True):
        raise UnknownVocabularyError("normalised in another way")
    lower = _switch(said, "lowercase", default=True)
    strips = lower if said.get("strip_accents") is None else _switch(said, "strip_accents", default=True)
    return Casing(lower, not strips, _switch(said, "handle_chinese_chars", default=True))


def _demand_marks(said: Mapping[str, Any], numbers: Mapping[str, int]) -> None:
    """A text stands between begin and end; of two, the second one is of the second type."""
    if said.get("type") == "BertProcessing":
        if said.get("cls") != [_BEGIN, numbers.get(_BEGIN)] or said.get("sep") != [_END, numbers.get(_END)]:
            raise UnknownVocabularyError("other marks around a text")
        return
    single, pair = said.get("single"), said.get("pair")
    if said.get("type") != "TemplateProcessing" or not isinstance(single, list) or not isinstance(pair, list):
        raise UnknownVocabularyError("other marks around a text")
    one = [(_BEGIN, 0), ("A", 0), (_END, 0)]
    if [_marked(part) for part in single[:9]] != one:
        raise UnknownVocabularyError("other marks around a text")
    if [_marked(part) for part in pair[:9]] != [*one, ("B", 1), (_END, 1)]:
        raise UnknownVocabularyError("other marks around a text")


def _marked(part: object) -> tuple[str, int]:
    """What stands there, and of which type it is."""
    for kind in ("SpecialToken", "Sequence"):
        told = part.get(kind) if isinstance(part, dict) else None
        if isinstance(told, dict) and isinstance(told.get("id"), str) and isinstance(told.get("type_id"), int):
            return told["id"], told["type_id"]
    raise VocabularyError("has marks that are none")


def _demand_no_more(said: object, numbers: Mapping[str, int]) -> None:
    """As for other vocabularies; words that BERT has kept free may be among them."""
    for number, text in added(said):
        if numbers.get(text) != number or not (text in (*_MARKS, _MASK) or _UNUSED.fullmatch(text)):
            raise UnknownVocabularyError("words of its own")


def _written(pieces: list[str], casing: Casing, longest: int) -> Vocabulary:
    """In our own form, which `engines/wordpieces.py` reads."""
    for piece in pieces:
        # As BERT's own files: an empty piece would match everywhere and nothing.
        if not 0 < len(piece.removeprefix(_PREFIX)) <= _PIECE_CHARS or "\0" in piece or "\n" in piece:
            raise VocabularyError("has an impossible piece")
        if any("\ud800" <= letter <= "\udfff" for letter in piece):
            raise VocabularyError("has a piece that is no text")
    numbers = {text: number for number, text in enumerate(pieces)}
    if len(numbers) != len(pieces):
        raise VocabularyError("has a piece twice")
    if not numbers.keys() >= set(_MARKS):
        raise UnknownVocabularyError("other fixed tokens")
    said = {"casing": asdict(casing), "longest_word": longest, "pieces": pieces}
    return Vocabulary(len(pieces), json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode(), "wordpiece")
