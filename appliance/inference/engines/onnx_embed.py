"""Embedding models on onnxruntime: tokens in, mean or first of the last layer out, as L2-normalised vectors."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from appliance.inference.child_http import ContextExceededError, Vectors
from appliance.inference.engines import onnx_session
from appliance.inference.engines.onnx_session import Floats, Integers, Session
from appliance.inference.engines.vocabularies import Tokenizer

_POOLED: Final = 2
"""Sides of an output that the graph has made one vector for each text of already."""


class Embedder:
    """Vectors of texts of at most `limit` tokens."""

    def __init__(self, session: Session, tokenizer: Tokenizer, limit: int, *, first: bool = False) -> None:
        """`first`: a text's vector is its first token's, not the mean of all."""
        self._session, self._tokenizer, self._limit, self._first = session, tokenizer, limit, first

    def embed(self, texts: Sequence[str], *, truncate: bool) -> tuple[Vectors, int]:
        """Vectors in the order of `texts`, and the tokens they had together.

        Raises:
            ContextExceededError: a text is too long and `truncate` is off.
        """
        encoded = self._tokenizer.encode(texts)
        longest = max(len(ids) for ids in encoded)
        if longest > self._limit:
            if not truncate:
                raise ContextExceededError(longest, self._limit)
            encoded = [self._tokenizer.truncate(ids, self._limit) for ids in encoded]
        rows: dict[int, Vectors] = {}
        for group in onnx_session.groups([len(ids) for ids in encoded]):
            result, mask = self._session.run([encoded[i] for i in group], self._tokenizer.pad)
            rows.update(zip(group, _pool(result, mask, first=self._first), strict=True))
        if len(texts) > 1:  # not for a question, which is to be quick and leaves little
            onnx_session.give_back_memory()
        return np.stack([rows[i] for i in range(len(encoded))]), sum(len(ids) for ids in encoded)


def _pool(hidden: Floats, mask: Integers, *, first: bool) -> Vectors:
    if hidden.ndim == _POOLED:
        pooled = hidden
    elif first:
        pooled = hidden[:, 0]
    else:
        weights = mask[:, :, None].astype(np.float32)
        pooled = (hidden * weights).sum(axis=1) / weights.sum(axis=1)
    norm = np.linalg.norm(pooled, axis=1, keepdims=True)
    vectors: Vectors = (pooled / np.maximum(norm, 1e-12)).astype(np.float32)
    return vectors
