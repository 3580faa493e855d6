"""XLM-RoBERTa's token ids from a SentencePiece model: the vocabulary of the E5 family."""

from collections.abc import Sequence
from pathlib import Path

import sentencepiece

from appliance.inference.engine import EngineLoadError

_BEGIN, _PAD, _END, _UNKNOWN = 0, 1, 2, 3
_PAIR_MARKS = 4
_FAIRSEQ_OFFSET = 1
"""Published files leave out fairseq's own four tokens, of which SentencePiece has three; rebuilt ones have all."""


class Tokenizer:
    """Thread-safe after construction."""

    pad = _PAD

    def __init__(self, path: Path) -> None:
        try:
            self._pieces = sentencepiece.SentencePieceProcessor(model_file=str(path))
        except (OSError, RuntimeError) as error:
            raise EngineLoadError(f"vocabulary: {error}") from error
        self._unknown = self._pieces.unk_id()
        self._offset = 0 if self._unknown == _UNKNOWN else _FAIRSEQ_OFFSET

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids with begin and end tokens, unpadded, untruncated."""
        return [[_BEGIN, *ids, _END] for ids in self.pieces(texts)]

    def pieces(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of the words alone."""
        unknown, offset = self._unknown, self._offset
        return [
            [_UNKNOWN if piece == unknown else piece + offset for piece in pieces]
            for pieces in self._pieces.encode(list(texts), out_type=int)
        ]

    @staticmethod
    def truncate(ids: list[int], limit: int) -> list[int]:
        """At most `limit` ids, the end token kept."""
        return ids if len(ids) <= limit else [*ids[: limit - 1], _END]

    @staticmethod
    def pair(query: list[int], document: list[int], limit: int) -> list[int]:
        """At most `limit` ids of both `pieces`. The document gives way; a query that leaves it no half is cut too."""
        room = limit - _PAIR_MARKS
        query = query[: max(room // 2, room - len(document))]
        return [_BEGIN, *query, _END, _END, *document[: room - len(query)], _END]

    @staticmethod
    def types(pair: list[int]) -> list[int]:
        """XLM-RoBERTa has one type only, for both texts of a pair too."""
        return [0] * len(pair)
