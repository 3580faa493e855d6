"""How far two results of the golden check may lie apart."""

import math
from collections.abc import Sequence

import pytest

from appliance.inference.golden_results import (
    ChatResult,
    EmbeddingResult,
    RerankerResult,
    Word,
    difference,
    worse_perplexity,
)


def word(token: int, logprob: float = -1.0, **others: float) -> Word:
    return Word(
        piece=f"w{token}",
        token=token,
        logprob=logprob,
        others={token: logprob} | {int(name[1:]): value for name, value in others.items()},
    )


def said(*words: Word, perplexity: float | None = None) -> ChatResult:
    return ChatResult(words=words, perplexity=perplexity)


def wrote(text: str) -> ChatResult:
    return ChatResult(words=tuple(Word(piece=piece) for piece in text.split()))


def vectors(*rows: Sequence[float]) -> EmbeddingResult:
    return EmbeddingResult(vectors=tuple(tuple(row) for row in rows))


def turned(degrees: float) -> tuple[float, float]:
    return math.cos(math.radians(degrees)), math.sin(math.radians(degrees))


def test_the_last_digits_of_a_probability_may_differ_and_no_more() -> None:
    was = said(word(1, -1.0), word(2, -2.0))
    assert not difference(said(word(1, -1.04), word(2, -1.97)), was, loose=False)
    assert "log probability" in difference(said(word(1, -1.0), word(2, -2.2)), was, loose=False)
    assert "log probability" in difference(said(word(1, math.nan), word(2, -2.0)), was, loose=False)


def test_another_word_is_accepted_only_where_both_were_equally_likely() -> None:
    was = said(word(1, -1.0, t7=-1.04, t8=-3.0), word(2))
    assert not difference(said(word(7, -1.0), word(9)), was, loose=False)
    assert "word 1" in difference(said(word(8, -1.0), word(2)), was, loose=False)
    assert "word 1" in difference(said(word(5, -1.0), word(2)), was, loose=False)
    assert "words" in difference(said(word(1)), was, loose=False)


def test_text_without_probabilities_must_be_the_same() -> None:
    assert not difference(wrote("a b c"), wrote("a b c"), loose=False)
    assert difference(wrote("a b d"), wrote("a b c"), loose=False)


def test_another_build_may_write_another_text_but_no_garbage() -> None:
    was = said(word(1), perplexity=14.0)
    assert not difference(said(word(9), perplexity=27.0), was, loose=True)
    assert "perplexity" in difference(said(word(1), perplexity=29.0), was, loose=True)
    assert worse_perplexity(math.nan, 14.0)
    assert not difference(wrote("a b x y"), wrote("a b c d"), loose=True)
    assert difference(wrote("x y z w"), wrote("a b c d"), loose=True)


@pytest.mark.parametrize(("degrees", "strict", "loose"), [(1, True, True), (5, False, True), (20, False, False)])
def test_a_vector_may_turn_a_little_and_more_under_another_build(degrees: float, strict: bool, loose: bool) -> None:
    was, now = vectors(turned(0), turned(90)), vectors(turned(0), turned(90 + degrees))
    assert (difference(now, was, loose=False) == "") is strict
    assert (difference(now, was, loose=True) == "") is loose


def test_vectors_of_another_length_are_others() -> None:
    assert difference(vectors((1, 0, 0)), vectors((1, 0)), loose=True)
    assert difference(vectors((1, 0)), vectors((1, 0), (0, 1)), loose=True)
    assert difference(vectors((0, 0)), vectors((1, 0)), loose=True)


def test_scores_keep_to_a_tolerance_and_under_another_build_to_their_order() -> None:
    was = RerankerResult(scores=(4.0, -4.0))
    assert not difference(RerankerResult(scores=(4.1, -4.1)), was, loose=False)
    assert difference(RerankerResult(scores=(3.0, -4.0)), was, loose=False)
    assert not difference(RerankerResult(scores=(3.0, -2.0)), was, loose=True)
    assert difference(RerankerResult(scores=(-3.0, 2.0)), was, loose=True)


def test_a_model_of_another_kind_is_another_model() -> None:
    assert difference(wrote("a"), vectors((1, 0)), loose=True)


@pytest.mark.parametrize(
    "result",
    [
        said(),
        said(word(1, math.nan)),
        said(word(1), perplexity=math.inf),
        vectors((2.0, 0.0)),
        vectors((math.nan, 0.0)),
        vectors((1.0, 0.0), (1.0, 0.0)),
        RerankerResult(scores=(1.0, math.nan)),
    ],
)
def test_what_no_sound_model_gives_is_a_flaw_whatever_was_recorded(
    result: ChatResult | EmbeddingResult | RerankerResult,
) -> None:
    assert result.flaw()


@pytest.mark.parametrize(
    "result", [wrote("a"), said(word(1), perplexity=3.0), vectors(turned(0), turned(1)), RerankerResult(scores=(0.0,))]
)
def test_sound_results_have_no_flaw(result: ChatResult | EmbeddingResult | RerankerResult) -> None:
    assert not result.flaw()
