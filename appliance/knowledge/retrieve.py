"""Search: terms and meaning together, over the bases that the person may read, with a verdict on what was found."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import apsw
import numpy as np
from numpy.typing import NDArray

from appliance import clock
from appliance.knowledge import hits, index, lexical, tokens, verdict
from appliance.knowledge.bases import Base
from appliance.knowledge.embedder import Embedder, Vectors, Waits
from appliance.knowledge.hits import Candidate, Hit, HitSentence, Row, StoredSentence
from appliance.knowledge.lexical import Lexical
from appliance.knowledge.normalise import language_of, search_form
from appliance.knowledge.rerank import Outcome, Reranker, Scores
from appliance.knowledge.verdict import Signals, Verdict
from appliance.storage.database import Database

__all__ = ["Hit", "HitSentence", "Retrieval", "Retriever", "SearchOptions"]

_LEXICAL_CANDIDATES = 50
_DENSE_CANDIDATES = 50
_SENTENCE_CANDIDATES = 80
_KEYWORD_WEIGHT = 0.7
"""Of the terms when the query is a single short word: who types it wants it, and it is too short for a meaning."""
_KEYWORD_CHARS = 4
_QUERY_CHARS = 2_000
_QUERY_TERMS = 200
"""A pasted page is no query: its first terms tell what it is about."""


@dataclass(frozen=True)
class SearchOptions:
    """`k` hits; `lexical_weight` from 0 (meaning only) to 1 (terms only); `document_ids` narrows the search.

    Unless another weight is chosen, a query of a single short word counts more as a term.
    """

    k: int = 8
    lexical_weight: float = 0.4
    document_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Retrieval:
    """What was found, best first, and whether it holds the answer. `signals`: see `verdict.Signals`."""

    hits: tuple[Hit, ...]
    verdict: Verdict
    probability: float
    signals: dict[str, float]
    elapsed_ms: float
    reranker: Outcome | None = None
    """How the reranker did; None where the box has none, or there was nothing to put in order."""


class Models(Embedder, Scores, Protocol):
    """The models that a search asks; the gateway has them."""


class Retriever:
    """Searches the bases it is given. Who may read them is decided before; one that changed hands since is left out."""

    def __init__(self, database: Database, embedder: Embedder, reranker: Reranker | None = None) -> None:
        self._database, self._embedder, self._reranker = database, embedder, reranker

    def asking(self, models: Models) -> Self:
        """The same, which asks these for vectors and scores: in whose turn they wait is theirs to know."""
        reranker = self._reranker and self._reranker.asking(models)
        return type(self)(self._database, models, reranker)

    def search(
        self,
        bases: Sequence[Base],
        query: str,
        options: SearchOptions = SearchOptions(),
        stopped: Callable[[], bool] | None = None,
        waits: Waits | None = None,
    ) -> Retrieval:
        """The best passages for `query`. The verdict goes by what was found, whatever a reranker says of its order.

        Raises:
            CancelledError: `stopped` said so while the query waited for a model.
            InferenceUnreachableError, ModelFailedError: no embedding of the query could be had.
        """
        began = clock.monotonic()
        if not bases or not query.strip():
            return Retrieval((), "none", 0.0, {}, _ms_since(began))
        (vector,) = self._embedder.embed([query], "query", stopped=stopped, waits=waits)
        terms = tokens.query_terms(query[:_QUERY_CHARS])[:_QUERY_TERMS]
        with self._database.read() as connection:
            bases = _unchanged(connection, bases)
            numbers = [base.number for base in bases]
            found = lexical.score(connection, numbers, terms)
            rows = _rows(connection, _candidate_ids(connection, numbers, found, vector, options), bases, options)
            candidates = [_measured(connection, row, found, vector) for row in rows]
        ranked = hits.distinct(hits.ranked(candidates, _weight(query, options)))
        if not ranked:
            return Retrieval((), "none", 0.0, {}, _ms_since(began))
        seen = _signals(query[:_QUERY_CHARS], ranked, found)
        value = verdict.probability(seen)
        outcome = None
        if self._reranker and len(ranked) > 1:
            ranked, outcome = self._reranker.order(query[:_QUERY_CHARS], ranked, stopped)
            ranked = self._still_open(bases, ranked) if outcome else ranked
        return Retrieval(
            hits=hits.build(ranked, options.k, found),
            verdict=verdict.decide(value),
            probability=value,
            signals=seen.as_dict(),
            elapsed_ms=_ms_since(began),
            reranker=outcome,
        )

    def _still_open(self, bases: Sequence[Base], ranked: Sequence[Candidate]) -> list[Candidate]:
        """Without those of a base that was shut or has gone while the reranker read."""
        with self._database.read() as connection:
            still = {base.id for base in _unchanged(connection, bases)}
        return [candidate for candidate in ranked if candidate.row.base_id in still]


def _signals(query: str, ranked: Sequence[Candidate], found: Lexical) -> Signals:
    """Passages in another language than the top one are no rivals: every one of them is further from the question."""
    top = ranked[0].row
    rivals = [candidate for candidate in ranked if candidate.row.language == top.language]
    terms = tokens.content_terms(query) or tokens.query_terms(query)
    return verdict.signals(
        [candidate.cosine for candidate in rivals],
        [candidate.bm25 for candidate in rivals],
        found.coverage(top.passage_id, terms),
        found.ceiling,
        same_language=language_of(query) == top.language,
    )


def _weight(query: str, options: SearchOptions) -> float:
    """The weight of the terms; one that the caller chose is kept."""
    if options.lexical_weight != SearchOptions.lexical_weight:
        return options.lexical_weight
    form = search_form(query[:_QUERY_CHARS])
    runs = tokens.runs(form)
    is_keyword = len(tokens.words(form)) + len(runs) == 1 and all(len(run) <= _KEYWORD_CHARS for run in runs)
    return _KEYWORD_WEIGHT if is_keyword else options.lexical_weight


def _ms_since(began: float) -> float:
    return round((clock.monotonic() - began) * 1000, 1)


def _unchanged(connection: apsw.Connection, bases: Sequence[Base]) -> list[Base]:
    """Those that are still there and as open as they were when it was decided who may read them.

    The query may have waited for the model for minutes, and access is decided at retrieval. A new version of a bundle
    has given its base another number by then.
    """
    rows: list[tuple[Any, ...]] = connection.execute(
        "select id, owner_id, visibility, number from bases where id in (select value from json_each(?))",
        (_json(base.id for base in bases),),
    ).fetchall()
    now = {row[:3]: row[3] for row in rows}
    asked = ((base, now.get((base.id, base.owner_id, base.visibility))) for base in bases)
    return [replace(base, number=number) for base, number in asked if number is not None]


def _candidate_ids(
    connection: apsw.Connection, numbers: Sequence[int], found: Lexical, vector: Vectors, options: SearchOptions
) -> set[int]:
    """Everything that is among the best by terms, by passage vector or by one of its sentences' vectors."""
    among: NDArray[np.int64] | None = None
    if options.document_ids:
        own = connection.execute(
            "select id from passages where document_id in (select value from json_each(?))",
            (_json(options.document_ids),),
        ).fetchall()
        among = np.array(own, np.int64).reshape(-1)
    ids = set(found.best(_LEXICAL_CANDIDATES, among))
    near: list[int] = []
    for number in numbers:
        ids.update(index.nearest_passages(connection, number, vector, _DENSE_CANDIDATES, options.document_ids))
        near += index.nearest_sentences(connection, number, vector, _SENTENCE_CANDIDATES, options.document_ids)
    rows: list[tuple[Any, ...]] = connection.execute(
        "select passages.id from sentences join passages on passages.document_id = sentences.document_id"
        " and sentences.ordinal between first_sentence and last_sentence"
        " where sentences.id in (select value from json_each(?))",
        (_json(near),),
    ).fetchall()
    return ids | {row[0] for row in rows}


def _rows(
    connection: apsw.Connection, ids: Iterable[int], bases: Sequence[Base], options: SearchOptions
) -> list[tuple[Row, Vectors]]:
    """The candidates that may be shown: of these bases and of documents that are ready."""
    allowed = {base.id for base in bases}
    wanted = set(options.document_ids)
    rows: list[tuple[Any, ...]] = connection.execute(
        "select passages.id, document_id, first_sentence, last_sentence, page, heading, text, base_id, name, title,"
        " pages, language, vector from passages join documents on documents.id = document_id"
        " where passages.id in (select value from json_each(?)) and state = 'ready' order by passages.id",
        (_json(ids),),
    ).fetchall()
    return [
        (Row(*row[:12]), np.frombuffer(row[-1], np.float32))
        for row in rows
        if row[7] in allowed and (not wanted or row[1] in wanted)
    ]


def _measured(connection: apsw.Connection, stored: tuple[Row, Vectors], found: Lexical, query: Vectors) -> Candidate:
    row, vector = stored
    rows: list[tuple[Any, ...]] = connection.execute(
        'select ordinal, page, start, "end", text, vector from sentences where document_id = ?'
        " and ordinal between ? and ? order by ordinal",
        (row.document_id, row.first, row.last),
    ).fetchall()
    cosines = np.frombuffer(b"".join(sentence[-1] for sentence in rows), np.float32).reshape(len(rows), -1) @ query
    sentences = tuple(
        StoredSentence(ordinal, page, start, end, text, float(cosine))
        for (ordinal, page, start, end, text, _vector), cosine in zip(rows, cosines, strict=True)
    )
    cosine = float(vector @ query) / 2 + float(cosines.max()) / 2
    return Candidate(row, sentences, found.score(row.passage_id), cosine)


def _json(values: Iterable[str | int]) -> str:
    return json.dumps(list(values))
