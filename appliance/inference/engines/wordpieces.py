"""BERT's token ids from a vocabulary that `inference.wordpiece` wrote."""

import json
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from appliance.inference.engine import EngineLoadError
from appliance.inference.wordpiece import Casing

_UNKNOWN, _BEGIN, _END, _PAD = "[UNK]", "[CLS]", "[SEP]", "[PAD]"
_PAIR_MARKS: Final = 3
_CHINESE: Final = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip
"""As the library has them that models are trained with, a gap at U+2B820 included."""
_BREAKS: Final = frozenset("\t\n\r")
_ASCII_MARKS: Final = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")


class WordPieces:
    """Thread-safe after construction. Names of marks in a text are words like others: a text is never a command."""

    def __init__(self, path: Path) -> None:
        try:
            said = json.loads(path.read_bytes())
            self._casing = Casing(**said["casing"])
            self._longest = int(said["longest_word"])
            self._numbers: dict[str, int] = {piece: number for number, piece in enumerate(said["pieces"])}
            self._unknown, self._begin, self._end, self.pad = (
                self._numbers[mark] for mark in (_UNKNOWN, _BEGIN, _END, _PAD)
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EngineLoadError(f"vocabulary: {error}") from error

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids with begin and end tokens, unpadded, untruncated."""
        return [[self._begin, *ids, self._end] for ids in self.pieces(texts)]

    def pieces(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of the words alone."""
        return [[number for word in self._words(text) for number in self._cut(word)] for text in texts]

    def truncate(self, ids: list[int], limit: int) -> list[int]:
        """At most `limit` ids, the end token kept."""
        return ids if len(ids) <= limit else [*ids[: limit - 1], self._end]

    def pair(self, query: list[int], document: list[int], limit: int) -> list[int]:
        """At most `limit` ids of both `pieces`. The document gives way; a query that leaves it no half is cut too."""
        room = limit - _PAIR_MARKS
        query = query[: max(room // 2, room - len(document))]
        return [self._begin, *query, self._end, *document[: room - len(query)], self._end]

    def types(self, pair: list[int]) -> list[int]:
        """Which of both texts each id of a `pair` belongs to."""
        first = pair.index(self._end) + 1
        return [0] * first + [1] * (len(pair) - first)

    def _words(self, text: str) -> Iterator[str]:
        """Cut at spaces and at marks, each of which is a word of its own."""
        for run in self._normalised(text).split():
            word = ""
            for letter in run:
                if _is_mark(letter):
                    if word:
                        yield word
                    yield letter
                    word = ""
                else:
                    word += letter
            if word:
                yield word

    def _normalised(self, text: str) -> str:
        text = "".join(_cleaned(letter) for letter in text)
        if self._casing.split_chinese:
            text = "".join(f" {letter} " if _is_chinese(letter) else letter for letter in text)
        if not self._casing.accents:
            text = "".join(
                letter for letter in unicodedata.normalize("NFD", text) if unicodedata.category(letter) != "Mn"
            )
        # Letter by letter: a whole text's `lower` writes a last sigma otherwise.
        return "".join(letter.lower() for letter in text) if self._casing.lower else text

    def _cut(self, word: str) -> list[int]:
        """The longest piece that it begins with, and so on; one unknown token where a part is no piece."""
        if len(word) > self._longest:
            return [self._unknown]
        found: list[int] = []
        start = 0
        while start < len(word):
            prefix = "##" if start else ""
            for end in range(len(word), start, -1):
                number = self._numbers.get(prefix + word[start:end])
                if number is not None:
                    found.append(number)
                    start = end
                    break
            else:
                return [self._unknown]
        return found


def _cleaned(letter: str) -> str:
    """A space for what breaks words or lines, nothing for what can't be seen."""
    if letter in _BREAKS:
        return " "
    kind = unicodedata.category(letter)
    if letter == "\ufffd" or kind in ("Cc", "Cf", "Co", "Cs"):
        return ""
    return " " if kind[0] == "Z" else letter


def _is_chinese(letter: str) -> bool:
    place = ord(letter)
    return place >= 0x3400 and any(first <= place <= last for first, last in _CHINESE)


def _is_mark(letter: str) -> bool:
    return letter in _ASCII_MARKS or unicodedata.category(letter)[0] == "P"
