"""Chats that have outgrown the context: what goes, what stays, and what is never taken apart."""

from collections.abc import Sequence
from typing import Literal

import pytest

from appliance.errors import ContextTooLongError
from appliance.gateway import overflow
from appliance.gateway.overflow import Message

Policy = Literal["middle", "rolling"]


def say(*words: str) -> list[Message]:
    """`s`, `u`, `a`, `c`, `t` begin a message of the system, user, assistant, one that calls a tool, a tool."""
    roles = {"s": "system", "d": "developer", "u": "user", "a": "assistant", "c": "assistant", "t": "tool"}
    return [{"role": roles[word[0]], "content": word} for word in words]


def names(messages: Sequence[Message]) -> list[str]:
    return [str(message["content"]) for message in messages]


def fit(messages: Sequence[Message], policy: Policy, limit: int) -> tuple[list[str], int]:
    """Each message counts for one token."""
    kept, left_out = overflow.fit(messages, policy, limit, len)
    assert len(kept) + left_out == len(messages)
    return names(kept), left_out


CHAT = say("s", "u1", "a1", "u2", "a2", "u3", "a3", "u4")


@pytest.mark.parametrize("policy", ["middle", "rolling"])
def test_a_chat_that_fits_stays_whole(policy: Policy) -> None:
    assert fit(CHAT, policy, 8) == (names(CHAT), 0)


@pytest.mark.parametrize(
    ("policy", "limit", "kept"),
    [
        ("rolling", 7, ["s", "u2", "a2", "u3", "a3", "u4"]),
        ("rolling", 6, ["s", "u2", "a2", "u3", "a3", "u4"]),
        ("rolling", 5, ["s", "u3", "a3", "u4"]),
        ("rolling", 2, ["s", "u4"]),
        ("middle", 7, ["s", "u1", "a1", "u3", "a3", "u4"]),
        ("middle", 5, ["s", "u1", "a1", "u4"]),
        ("middle", 4, ["s", "u1", "a1", "u4"]),
    ],
)
def test_as_few_as_needed_are_left_out_a_question_with_its_answer(policy: Policy, limit: int, kept: list[str]) -> None:
    assert fit(CHAT, policy, limit) == (kept, 8 - len(kept))


@pytest.mark.parametrize(("policy", "limit"), [("rolling", 1), ("middle", 3)])
def test_what_has_to_stay_and_does_not_fit_is_refused_with_the_figures(policy: Policy, limit: int) -> None:
    with pytest.raises(ContextTooLongError) as refused:
        fit(CHAT, policy, limit)
    assert refused.value.params == {"tokens": limit + 1, "limit": limit}


def test_system_messages_stay_wherever_they_are() -> None:
    chat = say("d", "u1", "a1", "s", "u2", "a2", "u3")
    assert fit(chat, "rolling", 3) == (["d", "s", "u3"], 4)


def test_a_greeting_before_the_first_question_goes_by_itself() -> None:
    chat = say("a0", "u1", "a1", "u2")
    assert fit(chat, "rolling", 3) == (["u1", "a1", "u2"], 1)
    assert fit(say("a0", "u1", "a1", "u2", "a2", "u3"), "middle", 4) == (["a0", "u1", "a1", "u3"], 2)


@pytest.mark.parametrize("policy", ["middle", "rolling"])
def test_an_agents_errand_loses_its_first_steps_and_never_a_result_without_its_call(policy: Policy) -> None:
    errand = say("s", "u1", "c1", "t1", "t2", "c2", "t3", "c3", "t4")
    assert fit(errand, policy, 7) == (["s", "u1", "c2", "t3", "c3", "t4"], 3)
    assert fit(errand, policy, 4) == (["s", "u1", "c3", "t4"], 5)
    with pytest.raises(ContextTooLongError):
        fit(errand, policy, 3)


def test_one_message_that_is_too_long_is_refused() -> None:
    with pytest.raises(ContextTooLongError):
        overflow.fit(say("u1"), "rolling", 5, lambda _messages: 6)


def test_what_has_to_stay_may_have_more_where_that_is_said() -> None:
    kept, left_out = overflow.fit(CHAT, "rolling", 1, len, most=2)
    assert (len(kept), left_out) == (2, 6)
    with pytest.raises(ContextTooLongError) as refused:
        overflow.fit(say("u1"), "rolling", 1, lambda _messages: 4, most=3)
    assert refused.value.params == {"tokens": 4, "limit": 3}


def test_a_long_chat_is_counted_a_few_times_only() -> None:
    chat = say("s", *(f"{who}{i}" for i in range(500) for who in "ua"), "u")
    counts: list[int] = []

    def count(messages: Sequence[Message]) -> int:
        counts.append(len(messages))
        return len(messages)

    kept, left_out = overflow.fit(chat, "rolling", 101, count)
    assert (len(kept), left_out, names(kept)[1]) == (100, 902, "u451")
    assert len(counts) <= 12


def test_the_answer_keeps_a_place_but_a_quarter_of_the_context_at_most() -> None:
    assert overflow.room(4096, None) == 3072
    assert overflow.room(4096, 100) == 3996
    assert overflow.room(4096, 100_000) == 3072
    assert overflow.room(4096, -1) == 3072
