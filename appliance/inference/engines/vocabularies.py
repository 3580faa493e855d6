"""How an encoder's texts become token ids: one contract, and the two kinds of vocabulary behind it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from appliance.inference.engines import xlmr
from appliance.inference.engines.wordpieces import WordPieces

_WORDPIECE: Final = "wordpiece.json"
_UNIGRAM: Final = "sentencepiece.model"


class Tokenizer(Protocol):
    """Thread-safe after construction."""

    @property
    def pad(self) -> int:
        """What shorter texts are filled up with."""
        ...

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids with begin and end tokens, unpadded, untruncated."""
        ...

    def pieces(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of the words alone."""
        ...

    def truncate(self, ids: list[int], limit: int) -> list[int]:
        """At most `limit` ids, the end token kept."""
        ...

    def pair(self, query: list[int], document: list[int], limit: int) -> list[int]:
        """At most `limit` ids of both `pieces`. The document gives way; a query that leaves it no half is cut too."""
        ...

    def types(self, pair: list[int]) -> list[int]:
        """Which of both texts each id of a `pair` belongs to."""
        ...


def opened(folder: Path) -> Tokenizer:
    """That of a model in the store. Raises EngineLoadError."""
    wordpieces = folder / _WORDPIECE
    return WordPieces(wordpieces) if wordpieces.exists() else xlmr.Tokenizer(folder / _UNIGRAM)
