"""How fast a model writes now, from what its answers tell."""

import pytest

from appliance import clock
from appliance.inference.rate import Rate


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """`at[0]` is the time, in seconds."""
    now = [1000.0]
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    return now


def test_before_anything_is_written_there_is_no_rate() -> None:
    assert Rate().now() == 0


def test_an_answer_that_has_just_begun_has_its_own_rate_and_not_a_tenth_of_it(at: list[float]) -> None:
    rate = Rate()
    for _ in range(8):
        rate.note(10)
        at[0] += 0.5
    assert rate.now() == 20  # 80 tokens in 4 s


def test_answers_at_once_add_up_and_only_ten_seconds_count(at: list[float]) -> None:
    rate = Rate()
    for _ in range(60):
        rate.note(3)
        rate.note(2)
        at[0] += 1
    assert rate.now() == pytest.approx(5, abs=0.6)
    at[0] += 5
    assert 0 < rate.now() < 3
    at[0] += 5
    assert rate.now() == 0


def test_a_first_burst_is_counted_over_a_second_at_least_and_a_pause_begins_anew(at: list[float]) -> None:
    rate = Rate()
    rate.note(7)
    assert rate.now() == 7
    at[0] += 3600
    rate.note(6)
    at[0] += 2
    assert rate.now() == 3
