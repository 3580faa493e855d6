"""Whether the documents hold the answer: a probability from four signals of the retrieval, and three verdicts.

The weights are fitted for multilingual-e5-small on five sets of questions; another embedding model needs its own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["answer", "perhaps", "none"]

ANSWER_FROM = 0.6
PERHAPS_FROM = 0.2

_RIVAL = 5
"""The best passage is compared with the fifth: where the answer is, it stands out from the merely similar."""
_DENSE_WITHOUT_RIVAL = 0.82
"""Measured on bases of 1 to 4 paragraphs of XQuAD and JaQuAD: a question about them is answered in .75 to .96 of the
cases, one about a missing paragraph of the same article in .02 to .20, one about something else in less than .01."""
_LEXICAL_WITHOUT_RIVAL = 0.5
"""What the fifth passage usually reaches of the first one's BM25."""
_COVERAGE_ACROSS_LANGUAGES = 0.4
_DROP_ACROSS_LANGUAGES = 0.12
"""Half-way between what these signals are for questions with and without an answer."""


@dataclass(frozen=True)
class Signals:
    """What the verdict rests on."""

    h1: float
    """½ cosine of the best passage + ½ of its best sentence."""
    h5: float
    """The same of the fifth passage."""
    cov1: float
    """Share of the question's content terms in the top passage, weighted by rarity."""
    bm_drop: float
    """BM25 of the first passage − that of the fifth, over what no passage can exceed."""

    def as_dict(self) -> dict[str, float]:
        return {"h1": self.h1, "h5": self.h5, "cov1": self.cov1, "bm_drop": self.bm_drop}


def signals(
    dense: Sequence[float], bm25: Sequence[float], coverage: float, ceiling: float, *, same_language: bool = True
) -> Signals:
    """From the scores of the passages found in the top one's language, in any order, near-copies left out.

    A base with fewer than five passages has no rival to compare with. What a passage of a like topic would reach
    stands in for it, or a base with a single document could never answer.

    `ceiling`: what BM25 can't exceed for the question. `same_language`: whether the question is in the language of
    the top passage; if it isn't, terms can tell little, so their silence isn't held against the passage.
    """
    dense, bm25 = sorted(dense, reverse=True), sorted(bm25, reverse=True)
    if len(dense) >= _RIVAL:
        h5, bm5 = dense[_RIVAL - 1], bm25[_RIVAL - 1]
    else:
        h5 = min(dense[-1], _DENSE_WITHOUT_RIVAL)
        bm5 = bm25[0] * _LEXICAL_WITHOUT_RIVAL
        bm5 = min(bm5, bm25[-1]) if len(bm25) > 1 else bm5
    drop = (bm25[0] - bm5) / ceiling if ceiling else 0.0
    if not same_language:
        coverage, drop = max(coverage, _COVERAGE_ACROSS_LANGUAGES), max(drop, _DROP_ACROSS_LANGUAGES)
    return Signals(dense[0], h5, coverage, drop)


def probability(seen: Signals) -> float:
    """That the best passage answers the question; 0 to 1."""
    x = 20.3 * seen.h1 + 42.1 * (seen.h1 - seen.h5) + 2.7 * seen.cov1 + 3.7 * seen.bm_drop - 20.8
    return 1 / (1 + math.exp(-x))


def decide(value: float) -> Verdict:
    """Answer, show the passage as a possible one, or say that the documents don't hold it."""
    if value >= ANSWER_FROM:
        return "answer"
    return "perhaps" if value >= PERHAPS_FROM else "none"
