"""XLM-RoBERTa's token ids from a SentencePiece model: the vocabulary of the E5 family."""

from collections.abc import Sequence
from pathlib import Path

import sentencepiece

from appliance.inference.engine import EngineLoadError

_BEGIN, PAD, _END, _UNKNOWN = 0, 1, 2, 3
_OFFSET = 1
"""fairseq put four tokens of its own in front, where SentencePiece has three."""


class Tokenizer:
    """Thread-safe after construction."""

    def __init__(self, path: Path) -> None:
        try:
            self._pieces = sentencepiece.SentencePieceProcessor(model_file=str(path))
        except (OSError, RuntimeError) as error:
            raise EngineLoadError(f"vocabulary: {error}") from error
        self._unknown = self._pieces.unk_id()

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids with begin and end tokens, unpadded, untruncated."""
        unknown = self._unknown
        return [
            [_BEGIN, *(_UNKNOWN if piece == unknown else piece + _OFFSET for piece in pieces), _END]
            for pieces in self._pieces.encode(list(texts), out_type=int)
        ]

    @staticmethod
    def truncate(ids: list[int], limit: int) -> list[int]:
        """At most `limit` ids, the end token kept."""
        return ids if len(ids) <= limit else [*ids[: limit - 1], _END]
