"""Rerankers on onnxruntime: cross-encoders that read question and document together and say how well they fit."""

from collections.abc import Sequence

import numpy as np

from appliance.inference.child_http import CallerGoneError, Stopped
from appliance.inference.engine import EngineLoadError
from appliance.inference.engines import onnx_session
from appliance.inference.engines.onnx_session import Floats, Session
from appliance.inference.engines.vocabularies import Tokenizer

_PAIR_OF_LABELS = 2


class Reranker:
    """Scores of pairs that have at most `limit` tokens together; longer ones are cut."""

    def __init__(self, session: Session, tokenizer: Tokenizer, limit: int) -> None:
        self._session, self._tokenizer, self._limit = session, tokenizer, limit

    def check(self) -> None:
        """Score one pair.

        Raises:
            EngineLoadError: what comes out is not one score for a pair, nor a no and a yes.
        """
        logits = self._scored([self._tokenizer.pair([], [], self._limit)])
        if logits.size not in (1, _PAIR_OF_LABELS):
            raise EngineLoadError(f"an output of shape {logits.shape} is no reranker's")

    def rerank(self, query: str, documents: Sequence[str], *, raw: bool, stopped: Stopped) -> tuple[list[float], int]:
        """A score for each document in their order, and the tokens that were read; see `Answering.rerank`."""
        asked, *read = self._tokenizer.pieces([query, *documents])
        pairs = [self._tokenizer.pair(asked, ids, self._limit) for ids in read]
        logits = np.empty(len(pairs), np.float64)
        for group in onnx_session.groups([len(pair) for pair in pairs]):
            if stopped():
                raise CallerGoneError
            logits[group] = _one_each(self._scored([pairs[i] for i in group]))
        onnx_session.give_back_memory()
        # The logistic function, in the form that can't overflow.
        scores = logits if raw else (np.tanh(logits / 2) + 1) / 2
        return scores.tolist(), sum(len(pair) for pair in pairs)

    def _scored(self, pairs: Sequence[list[int]]) -> Floats:
        types = [self._tokenizer.types(pair) for pair in pairs]
        result, _mask = self._session.run(pairs, self._tokenizer.pad, types)
        return result


def _one_each(logits: Floats) -> Floats:
    """One number for each pair. Of two labels, no and yes, their difference: its logistic function is their softmax."""
    rows = logits.reshape(len(logits), -1)
    fits: Floats = rows[:, 1] - rows[:, 0] if rows.shape[1] == _PAIR_OF_LABELS else rows[:, 0]
    return fits
