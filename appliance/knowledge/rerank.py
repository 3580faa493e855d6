"""A reranker's second look: the best candidates of a search read again, each beside the question, and put in order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from appliance import clock, logs
from appliance.errors import CancelledError, HakoError
from appliance.knowledge.embedder import passage_text
from appliance.knowledge.hits import Candidate

log = logs.get(__name__)

MOST: Final = 40
"""Candidates that are read again: what else was found is rarely the answer, and each costs time."""
WITHIN_S: Final = 5.0
"""A search that takes longer than this for its order is shown in the order that it has."""
LATE: Final = "late"


class Scores(Protocol):
    """What knowledge needs of rerankers; the gateway offers it."""

    def rerank(
        self,
        model: str,
        query: str,
        documents: Sequence[str],
        *,
        raw: bool = False,
        stopped: Callable[[], bool] | None = None,
    ) -> tuple[list[float], int]:
        """How well each document fits the query, from 0 to 1 in their order, and the tokens that were read.

        Raises:
            HakoError: no scores now.
        """


@dataclass(frozen=True)
class Outcome:
    """Whether the order of a search is the reranker's."""

    model: str
    failure: str = ""
    """The code of the error, or `late`; empty where the reranker has put the hits in order."""


class Reranker:
    """The model of the moment, asked anew for each search. A search never fails because of it."""

    def __init__(self, scores: Scores, model: Callable[[], str], within_s: float = WITHIN_S) -> None:
        """`model`: its name, or nothing where searches are to stay in their own order."""
        self._scores, self._model, self._within_s = scores, model, within_s

    def asking(self, scores: Scores) -> "Reranker":
        """The same, which asks those."""
        return Reranker(scores, self._model, self._within_s)

    def order(
        self, query: str, ranked: Sequence[Candidate], stopped: Callable[[], bool] | None = None
    ) -> tuple[list[Candidate], Outcome | None]:
        """The candidates, the first of them by how well they fit the query, and the others after them as they were.

        All as they were where there are no scores in time, which the log and the outcome tell; also where there is
        no model, with no outcome.

        Raises:
            CancelledError: `stopped` said so.
        """
        if not (model := self._model()):
            return list(ranked), None
        until = clock.monotonic() + self._within_s

        def is_over() -> bool:
            return clock.monotonic() > until or bool(stopped and stopped())

        best, rest = ranked[:MOST], ranked[MOST:]
        texts = [passage_text(each.row.title, each.row.heading, each.row.text) for each in best]
        try:
            scores, _tokens = self._scores.rerank(model, query, texts, stopped=is_over)
        except CancelledError:
            if stopped and stopped():
                raise
            return _failed(model, ranked, LATE)
        except HakoError as error:
            return _failed(model, ranked, error.code)
        scored = [replace(each, reranked=score) for each, score in zip(best, scores, strict=True)]
        ordered = sorted(scored, key=lambda each: -(each.reranked or 0.0))  # stable: of equals the search decides
        return [*ordered, *rest], Outcome(model)


def _failed(model: str, ranked: Sequence[Candidate], why: str) -> tuple[list[Candidate], Outcome]:
    log.warning("not_reranked", model=model, why=why, candidates=min(len(ranked), MOST))
    return list(ranked), Outcome(model, why)
