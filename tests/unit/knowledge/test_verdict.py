"""The verdict on figures measured with multilingual-e5-small, large bases and tiny ones."""

import pytest

from appliance.knowledge import verdict
from appliance.knowledge.verdict import Signals

Scores = list[float]


def verdict_on(dense: Scores, bm25: Scores, coverage: float, *, same_language: bool = True) -> str:
    """BM25 here as a share of what can't be exceeded."""
    seen = verdict.signals(dense, bm25, coverage, 1.0, same_language=same_language)
    return verdict.decide(verdict.probability(seen))


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        # means over XQuAD and JaQuAD: the paragraph is there, its neighbours only, nothing on the topic
        (Signals(0.867, 0.796, 0.77, 0.32), "answer"),
        (Signals(0.896, 0.856, 0.60, 0.17), "answer"),
        (Signals(0.873, 0.851, 0.34, 0.07), "perhaps"),
        (Signals(0.819, 0.787, 0.33, 0.09), "none"),
        (Signals(0.791, 0.774, 0.24, 0.06), "none"),
        (Signals(0.825, 0.814, 0.15, 0.03), "none"),
    ],
)
def test_the_three_verdicts(seen: Signals, expected: str) -> None:
    assert verdict.decide(verdict.probability(seen)) == expected


def test_the_cuts() -> None:
    assert [verdict.decide(value) for value in (0.6, 0.599, 0.2, 0.199)] == ["answer", "perhaps", "perhaps", "none"]


def test_the_fifth_passage_is_the_rival_in_whatever_order_they_come() -> None:
    dense, bm25 = [0.80, 0.90, 0.81, 0.85, 0.84, 0.83, 0.82], [1.0, 5.0, 0.0, 2.0, 3.0, 4.0, 0.5]
    assert verdict.signals(dense, bm25, 0.5, 10.0) == Signals(0.90, 0.82, 0.5, pytest.approx(0.4))


@pytest.mark.parametrize(
    ("dense", "bm25", "coverage", "expected"),
    [
        ([0.876], [0.54], 1.00, "answer"),  # one sentence in the base: "where is the spare key?"
        ([0.848], [0.62], 1.00, "answer"),  # "key"
        ([0.759], [0.00], 0.00, "none"),  # "what is for lunch"
        ([0.797], [0.13], 0.28, "none"),  # "who painted the mona lisa"
        ([0.917, 0.840, 0.806], [0.39, 0.10, 0.0], 1.00, "answer"),  # three passages: 夜勤手当はいくらですか
        ([0.837, 0.830, 0.825], [0.05, 0.04, 0.03], 0.00, "none"),  # 退職金はいくらですか
        ([0.814, 0.800, 0.787], [0.00, 0.00, 0.0], 0.00, "none"),  # 天気
        ([0.895, 0.880, 0.860, 0.850], [0.34, 0.25, 0.2, 0.15], 0.60, "answer"),
    ],
)
def test_a_base_with_few_passages_can_answer_and_refuse(
    dense: Scores, bm25: Scores, coverage: float, expected: str
) -> None:
    assert verdict_on(dense, bm25, coverage) == expected


def test_a_second_passage_does_not_turn_an_answer_into_a_refusal() -> None:
    alone = verdict.probability(verdict.signals([0.87], [0.4], 0.8, 1.0))
    beside_unrelated = verdict.probability(verdict.signals([0.87, 0.74], [0.4, 0.0], 0.8, 1.0))
    beside_similar = verdict.probability(verdict.signals([0.87, 0.86], [0.4, 0.3], 0.8, 1.0))
    assert beside_unrelated > alone
    assert beside_similar == alone


def test_a_question_in_another_language_is_judged_by_meaning() -> None:
    dense = [0.836, 0.800, 0.780]  # "How much is the night shift allowance?" over the Japanese handbook
    assert verdict_on(dense, [0.0, 0.0, 0.0], 0.0) == "none"
    assert verdict_on(dense, [0.0, 0.0, 0.0], 0.0, same_language=False) == "perhaps"
    assert verdict_on([0.722, 0.710, 0.699], [0.0, 0.0, 0.0], 0.0, same_language=False) == "none"


def test_a_question_of_unknown_signs_has_no_ceiling() -> None:
    assert verdict.signals([0.8], [0.0], 0.0, 0.0).bm_drop == 0.0
