"""What a model says to the fixed questions of the golden check, and how far two such results lie apart."""

import math
import operator
from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

_LOG_PROBABILITY: Final = 0.05
"""Between two runs of one build on one kind of CPU; another number of threads already moves the last digits."""
_COSINE: Final = 0.999
_SCORE: Final = 0.05
"""Of a reranker's own score, which lies somewhere between −10 and 10."""

_LOOSE_PERPLEXITY: Final = 2.0
"""How many times the old one; another build moves it by a few per cent, damaged weights by orders of magnitude."""
_LOOSE_COSINE: Final = 0.95
_LOOSE_WORDS: Final = 0.25
"""Of the words, where there are no probabilities: another build may go another way after the first few."""

_UNIT: Final = 0.01
_SAME: Final = 0.99999


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=True)


class Word(_Result):
    """One token of an answer."""

    piece: str
    token: int | None = None
    logprob: float | None = None
    """Natural logarithm of its probability; None where the engine doesn't tell."""
    others: dict[int, float] = {}
    """The same of the likeliest tokens at its place, itself included."""


class ChatResult(_Result):
    """How a fixed text goes on when always the likeliest token is taken."""

    kind: Literal["chat"] = "chat"
    words: tuple[Word, ...]
    perplexity: float | None = None
    """Of a fixed sentence, per token; None where the engine can't tell it."""

    def flaw(self) -> str:
        """Why no sound model gives this, in words for the log; empty if it may."""
        figures = [word.logprob for word in self.words if word.logprob is not None]
        if not self.words:
            return "it writes nothing"
        if not all(map(math.isfinite, [*figures, self.perplexity or 0.0])):
            return "probabilities that are no numbers"
        return ""

    def difference(self, was: "ChatResult") -> str:
        """How this differs from what the same build said before; empty if it is the same within tolerance."""
        if len(self.words) != len(was.words):
            return f"{len(self.words)} words, not {len(was.words)}"
        for place, (old, new) in enumerate(zip(was.words, self.words, strict=True), 1):
            if (old.token, old.piece) != (new.token, new.piece):
                # Where two tokens were equally likely either may come, and everything after it is another text.
                return "" if _is_tie(old, new) else f"word {place} is another one"
            if old.logprob is not None and not abs((new.logprob or 0.0) - old.logprob) <= _LOG_PROBABILITY:
                return f"word {place}: log probability {new.logprob}, not {old.logprob}"
        return ""

    def gross_difference(self, was: "ChatResult") -> str:
        """As `difference`, where build, CPU or files are others."""
        if was.perplexity is not None and self.perplexity is not None:
            return worse_perplexity(self.perplexity, was.perplexity)
        equal = sum(old.piece == new.piece for old, new in zip(was.words, self.words, strict=False))
        return "" if equal >= _LOOSE_WORDS * len(was.words) else f"{equal} of {len(was.words)} words are the same"


class EmbeddingResult(_Result):
    """Vectors of fixed sentences."""

    kind: Literal["embedding"] = "embedding"
    vectors: tuple[tuple[float, ...], ...]

    def flaw(self) -> str:
        for vector in self.vectors:
            if not abs(math.hypot(*vector) - 1) <= _UNIT:  # also where one is not a number
                return "a vector that has not length 1"
        if len(self.vectors) > 1 and cosine(self.vectors[0], self.vectors[1]) > _SAME:
            return "the same vector for different sentences"
        return ""

    def difference(self, was: "EmbeddingResult") -> str:
        return farther(self.vectors, was.vectors, _COSINE)

    def gross_difference(self, was: "EmbeddingResult") -> str:
        return farther(self.vectors, was.vectors, _LOOSE_COSINE)


class RerankerResult(_Result):
    """The model's own scores of fixed documents."""

    kind: Literal["reranker"] = "reranker"
    scores: tuple[float, ...]

    def flaw(self) -> str:
        return "" if all(map(math.isfinite, self.scores)) else "scores that are no numbers"

    def difference(self, was: "RerankerResult") -> str:
        for old, new in zip(was.scores, self.scores, strict=True):
            if abs(new - old) > _SCORE * max(1.0, abs(old)):
                return f"a score of {new:.3f}, not {old:.3f}"
        return ""

    def gross_difference(self, was: "RerankerResult") -> str:
        old, new = _order(was.scores), _order(self.scores)
        return "" if old == new or not self.difference(was) else f"documents in the order {new}, not {old}"


Result = Annotated[ChatResult | EmbeddingResult | RerankerResult, Field(discriminator="kind")]


def difference(now: Result, was: Result, *, loose: bool) -> str:
    """How `now` differs from `was`, in words for the log; empty if it is the same within tolerance.

    `loose` asks for gross changes only: garbage, not the last digits.
    """
    match now, was:
        case ChatResult(), ChatResult():
            return now.gross_difference(was) if loose else now.difference(was)
        case EmbeddingResult(), EmbeddingResult():
            return now.gross_difference(was) if loose else now.difference(was)
        case RerankerResult(), RerankerResult():
            return now.gross_difference(was) if loose else now.difference(was)
        case _:
            return f"a {now.kind} model, not a {was.kind} model"


def worse_perplexity(now: float, was: float) -> str:
    """Empty unless `now` is far above `was`."""
    return "" if now <= _LOOSE_PERPLEXITY * was else f"perplexity {now:.1f}, it was {was:.1f}"


def farther(now: Sequence[Sequence[float]], was: Sequence[Sequence[float]], least: float) -> str:
    """Empty unless vectors have another shape or one lies farther from its predecessor than a cosine of `least`."""
    if [len(vector) for vector in now] != [len(vector) for vector in was]:
        return "vectors of another length"
    for new, old in zip(now, was, strict=True):
        if not (found := cosine(new, old)) >= least:
            return f"cosine {found:.4f}, not {least}"
    return ""


def cosine(left: Sequence[float], right: Sequence[float]) -> float:
    """Of the angle between two vectors; NaN for one without length."""
    length = math.hypot(*left) * math.hypot(*right)
    return sum(map(operator.mul, left, right)) / length if length else math.nan


def _is_tie(old: Word, new: Word) -> bool:
    if old.logprob is None or new.token is None:
        return False
    return old.logprob - old.others.get(new.token, -math.inf) <= _LOG_PROBABILITY


def _order(scores: Sequence[float]) -> list[int]:
    return sorted(range(len(scores)), key=lambda i: -scores[i])
