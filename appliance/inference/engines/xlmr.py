"""XLM-RoBERTa's token ids from a SentencePiece model: the vocabulary of the E5 family."""

from collections.abc import Sequence
from pathlib import Path

import sentencepiece

from appliance.inference.engine import EngineLoadError

_BEGIN, PAD, _END, _UNKNOWN = 0, 1, 2, 3
_FAIRSEQ_OFFSET = 1
"""Published files leave out fairseq's own four tokens, of which SentencePiece has three; rebuilt ones have all."""


class Tokenizer:
    """Thread-safe after construction."""

    def __init__(self, path: Path) -> None:
        try:
            self._pieces = sentencepiece.SentencePieceProcessor(model_file=str(path))
        except (OSError, RuntimeError) as error:
            raise EngineLoadError(f"vocabulary: {error}") from error
        self._unknown = self._pieces.unk_id()
        self._offset = 0 if self._unknown == _UNKNOWN else _FAIRSEQ_OFFSET

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids with begin and end tokens, unpadded, untruncated."""
        unknown, offset = self._unknown, self._offset
        return [
            [_BEGIN, *(_UNKNOWN if piece == unknown else piece + offset for piece in pieces), _END]
            for pieces in self._pieces.encode(list(texts), out_type=int)
        ]

    @staticmethod
    def truncate(ids: list[int], limit: int) -> list[int]:
        """At most `limit` ids, the end token kept."""
        return ids if len(ids) <= limit else [*ids[: limit - 1], _END]
