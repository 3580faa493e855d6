"""BM25 over the full-text index of one or more bases, with statistics of exactly these bases."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import apsw
import numpy as np
from numpy.typing import NDArray

from appliance.knowledge import index

_K1, _B = 1.2, 0.75
_SMALLEST_COLLECTION = 100
"""In fewer passages how rare a term is can't be seen; a small base counts as part of a collection of this size."""


@dataclass(frozen=True)
class Lexical:
    """BM25 scores of all passages that hold a term of the query; `ids` ascending."""

    ids: NDArray[np.int64]
    scores: NDArray[np.float64]
    idf: dict[str, float]
    """Of every term of the query, also of those that no passage holds."""
    holders: dict[str, NDArray[np.int64]]
    """Which passages hold a term, ascending."""

    @property
    def ceiling(self) -> float:
        """What no passage can reach: every term, as often as one likes."""
        return (_K1 + 1) * sum(self.idf.values())

    def best(self, count: int, among: NDArray[np.int64] | None = None) -> list[int]:
        """Ids with the highest scores, best first."""
        wanted = np.isin(self.ids, among) if among is not None else np.ones(len(self.ids), bool)
        ids, scores = self.ids[wanted], self.scores[wanted]
        order = np.lexsort((ids, -scores))[:count]
        return [int(passage_id) for passage_id in ids[order]]

    def score(self, passage_id: int) -> float:
        """0.0 for a passage without any term of the query."""
        place = int(np.searchsorted(self.ids, passage_id))
        return float(self.scores[place]) if place < len(self.ids) and self.ids[place] == passage_id else 0.0

    def coverage(self, passage_id: int, terms: Sequence[str]) -> float:
        """Share of these terms that the passage holds, weighted by their rarity; 0 to 1."""
        weights = {term: self.idf[term] for term in terms if term in self.idf}
        held = sum(weight for term, weight in weights.items() if _holds(self.holders[term], passage_id))
        return held / sum(weights.values()) if weights else 0.0


def score(connection: apsw.Connection, numbers: Sequence[int], terms: Sequence[str]) -> Lexical:
    """Score the passages of the bases with these numbers.

    Frequencies are taken over all of these bases together, so that their scores can be compared, and over no
    other, so that they tell nothing about bases that the person may not read.
    """
    lengths = [index.lengths(connection, number) for number in numbers]
    ids = np.concatenate([part for part, _ in lengths]) if lengths else np.empty(0, np.int64)
    sizes = np.concatenate([part for _, part in lengths]) if lengths else np.empty(0, np.int64)
    order = np.argsort(ids)
    ids, sizes = ids[order], sizes[order]
    scores = np.zeros(len(ids))
    damping = _K1 * (1 - _B + _B * sizes / max(float(sizes.mean()), 1.0)) if len(ids) else scores
    idf: dict[str, float] = {}
    holders: dict[str, NDArray[np.int64]] = {}
    for term in terms:
        parts = [index.postings(connection, number, term) for number in numbers]
        found = np.concatenate([part for part, _ in parts]) if parts else np.empty(0, np.int64)
        counts = np.concatenate([part for _, part in parts]) if parts else np.empty(0, np.int64)
        idf[term] = _idf(len(found), len(ids))
        holders[term] = np.sort(found)
        places = np.searchsorted(ids, found)
        scores[places] += idf[term] * counts * (_K1 + 1) / (counts + damping[places])
    hit = scores > 0
    return Lexical(ids[hit], scores[hit], idf, holders)


def _idf(holding: int, passages: int) -> float:
    passages = max(passages, _SMALLEST_COLLECTION)
    return math.log(1 + (passages - holding + 0.5) / (holding + 0.5))


def _holds(ascending: NDArray[np.int64], passage_id: int) -> bool:
    place = int(np.searchsorted(ascending, passage_id))
    return place < len(ascending) and int(ascending[place]) == passage_id
