"""What is asked to see whether guessing pays, and what comes of the answers."""

import pytest

from appliance import clock
from appliance.gateway import quoting
from appliance.inference.speculation import Gains


def quotes(talk: quoting.Talk) -> bool:
    return "word for word" in talk[-1]["content"]


def test_the_same_questions_are_asked_both_ways_and_compared_one_by_one() -> None:
    talks: list[quoting.Talk] = []

    def write(talk: quoting.Talk, speed: float) -> float:
        talks.append(talk)
        return speed * len(talks[-1][-1]["content"])

    plain = quoting.written(lambda talk: write(talk, 1.0))
    asked = talks.copy()
    guessing = quoting.written(lambda talk: write(talk, 1.5 if quotes(talk) else 0.95), plain)
    assert talks == [*asked, *asked]
    assert sum(map(quotes, asked)) == quoting.ROUNDS == len(asked) - 1
    assert guessing.gains(plain) == Gains(quoting=1.5, other=0.95)


def test_what_has_no_speed_has_no_gain() -> None:
    plain = quoting.written(lambda _talk: 2.0)
    assert quoting.written(lambda talk: None if quotes(talk) else 2.0, plain).gains(plain) == Gains(0.0, 1.0)
    assert not quoting.written(lambda _talk: None, plain).gains(plain).pays


def test_a_slow_box_is_asked_less(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])

    def write(_talk: quoting.Talk) -> float:
        now[0] += 30
        return 4.0

    plain = quoting.written(write)
    assert (len(plain.quoting), len(plain.other)) == (1, 1)
    assert len(quoting.written(write, plain).quoting) == 1
