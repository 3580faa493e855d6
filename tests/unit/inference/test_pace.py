"""How long a queue will take, by how long places were held."""

import pytest

from appliance.inference.pace import Pace


def test_before_the_first_answer_nothing_is_said() -> None:
    assert Pace().wait(1, 2) is None
    assert Pace().retry_after(2) == 10


def test_each_turn_takes_an_answer_shared_by_the_places() -> None:
    pace = Pace()
    pace.note(12)
    assert [pace.wait(turn, 2) for turn in (1, 2, 3)] == [6, 12, 18]


def test_newer_answers_count_and_a_single_one_changes_little() -> None:
    pace = Pace()
    pace.note(10)
    pace.note(60)
    assert pace.wait(1, 1) == pytest.approx(20)
    for _ in range(40):
        pace.note(60)
    assert pace.wait(1, 1) == pytest.approx(60, abs=0.1)


@pytest.mark.parametrize(("held", "seconds"), [(0.01, 1), (7.2, 8), (4000, 60)])
def test_asking_again_makes_sense_after_a_turn_within_bounds(held: float, seconds: int) -> None:
    pace = Pace()
    pace.note(held)
    assert pace.retry_after(1) == seconds
