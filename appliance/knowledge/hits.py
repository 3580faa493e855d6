"""What a search shows: passages found, made comparable, without near-copies, each with its sentences."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from appliance.knowledge import tokens
from appliance.knowledge.lexical import Lexical

_SAME = 0.5
"""Passages of a document that share more of the shorter one's sentences are the same hit."""


@dataclass(frozen=True)
class HitSentence:
    """A sentence of a hit; `start` and `end` are characters into its page's text, `score` is 0 to 1 within the hit."""

    ordinal: int
    page: int
    start: int
    end: int
    text: str
    score: float


@dataclass(frozen=True)
class Hit:
    """A passage found. `lexical` and `dense` are 0 to 1 among what was found, `score` is their weighted sum."""

    passage_id: str
    document_id: str
    base_id: str
    document: str
    title: str
    page: int
    pages: int
    heading: str
    text: str
    score: float
    lexical: float
    dense: float
    rank: int
    lexical_rank: int | None
    """None: it holds no term of the query."""
    dense_rank: int | None
    sentences: tuple[HitSentence, ...]
    reranked: float | None = None
    """What the reranker says of it, 0 to 1, and then the rank goes by it; None where none has read it."""

    def as_dict(self) -> dict[str, Any]:
        """As the API sends it."""
        return {
            "passage_id": self.passage_id,
            "document_id": self.document_id,
            "base_id": self.base_id,
            "document": self.document,
            "title": self.title,
            "page": self.page,
            "pages": self.pages,
            "heading": self.heading,
            "text": self.text,
            "score": round(self.score, 4),
            "lexical": round(self.lexical, 4),
            "dense": round(self.dense, 4),
            "rank": self.rank,
            "lexical_rank": self.lexical_rank,
            "dense_rank": self.dense_rank,
            "reranked": None if self.reranked is None else round(self.reranked, 4),
            "sentences": [
                {
                    "ordinal": sentence.ordinal,
                    "page": sentence.page,
                    "start": sentence.start,
                    "end": sentence.end,
                    "text": sentence.text,
                    "score": round(sentence.score, 4),
                }
                for sentence in self.sentences
            ],
        }


@dataclass(frozen=True)
class Row:
    """A candidate as it is stored."""

    passage_id: int
    document_id: str
    first: int
    last: int
    page: int
    heading: str
    text: str
    base_id: str
    document: str
    title: str
    pages: int
    language: str


@dataclass(frozen=True)
class StoredSentence:
    """A sentence of a candidate, with its cosine to the query."""

    ordinal: int
    page: int
    start: int
    end: int
    text: str
    cosine: float


@dataclass(frozen=True)
class Candidate:
    """A passage with its scores before and after they are made comparable."""

    row: Row
    sentences: tuple[StoredSentence, ...]
    bm25: float
    cosine: float
    """½ of the passage + ½ of its best sentence."""
    lexical: float = 0.0
    dense: float = 0.0
    score: float = 0.0
    reranked: float | None = None
    """What a reranker says of it, 0 to 1; None where none has read it."""


def ranked(candidates: Sequence[Candidate], lexical_weight: float) -> list[Candidate]:
    """Best first by the weighted sum of both scores, each stretched to 0…1 over the candidates."""
    lexical = _stretched([candidate.bm25 for candidate in candidates])
    dense = _stretched([candidate.cosine for candidate in candidates])
    scored = [
        replace(candidate, lexical=x, dense=y, score=lexical_weight * x + (1 - lexical_weight) * y)
        for candidate, x, y in zip(candidates, lexical, dense, strict=True)
    ]
    return sorted(scored, key=lambda candidate: (-candidate.score, candidate.row.passage_id))


def distinct(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Without passages that mostly repeat a better one."""
    kept: list[Candidate] = []
    ranges: dict[str, list[tuple[int, int]]] = {}
    for candidate in candidates:
        row = candidate.row
        taken = ranges.setdefault(row.document_id, [])
        if not any(_is_same((row.first, row.last), other) for other in taken):
            taken.append((row.first, row.last))
            kept.append(candidate)
    return kept


def build(candidates: Sequence[Candidate], count: int, found: Lexical) -> tuple[Hit, ...]:
    """The first `count` as hits, with their places in the lists by terms and by meaning."""
    by_lexical = _places([candidate.bm25 for candidate in candidates])
    by_dense = _places([candidate.cosine for candidate in candidates])
    return tuple(
        Hit(
            passage_id=str(candidate.row.passage_id),
            document_id=candidate.row.document_id,
            base_id=candidate.row.base_id,
            document=candidate.row.document,
            title=candidate.row.title,
            page=candidate.row.page,
            pages=candidate.row.pages,
            heading=candidate.row.heading,
            text=candidate.row.text,
            score=candidate.score,
            lexical=candidate.lexical,
            dense=candidate.dense,
            rank=place + 1,
            lexical_rank=by_lexical[place] if candidate.bm25 > 0 else None,
            dense_rank=by_dense[place],
            sentences=_sentences(candidate, found),
            reranked=candidate.reranked,
        )
        for place, candidate in enumerate(candidates[:count])
    )


def _sentences(candidate: Candidate, found: Lexical) -> tuple[HitSentence, ...]:
    """½ share of the query's terms + ½ cosine, each stretched to 0…1 within the passage."""
    lexical = _stretched([_share(sentence.text, found) for sentence in candidate.sentences])
    dense = _stretched([sentence.cosine for sentence in candidate.sentences])
    return tuple(
        HitSentence(sentence.ordinal, sentence.page, sentence.start, sentence.end, sentence.text, (x + y) / 2)
        for sentence, x, y in zip(candidate.sentences, lexical, dense, strict=True)
    )


def _share(text: str, found: Lexical) -> float:
    held = set(tokens.index_tokens(text)) & found.idf.keys()
    return sum(found.idf[term] for term in held)


def _stretched(values: Sequence[float]) -> list[float]:
    """Min–max; equal values are all 1, or all 0 if there is nothing to them."""
    if not values:
        return []
    low, high = min(values), max(values)
    if high <= low:
        return [1.0 if high > 0 else 0.0] * len(values)
    return [(value - low) / (high - low) for value in values]


def _places(values: Sequence[float]) -> list[int]:
    """The place of each value in descending order, from 1."""
    places = [0] * len(values)
    for place, i in enumerate(sorted(range(len(values)), key=lambda i: -values[i])):
        places[i] = place + 1
    return places


def _is_same(one: tuple[int, int], other: tuple[int, int]) -> bool:
    shared = min(one[1], other[1]) - max(one[0], other[0]) + 1
    shorter = min(one[1] - one[0], other[1] - other[0]) + 1
    return shared / shorter > _SAME
