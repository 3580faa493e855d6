"""Which prompts are kept: long ones that come again, once each, and again when they had to make room."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from appliance.errors import InferenceUnreachableError
from appliance.gateway import prefixes
from appliance.gateway.prefixes import Prefixes
from appliance.inference.client import InferenceClient, Lease

LONG = "The pump in hall four is checked every day. " * 20


class Keeper:
    """Stands for the inference process."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.kept: set[str] = set()
        self.is_there = True

    def keep(self, _lease: Lease, prompt: list[int]) -> str:
        if not self.is_there:
            raise InferenceUnreachableError("gone")
        self.asked.append("keep")
        self.kept.add(str(len(prompt)))
        return str(len(prompt))

    def is_kept(self, _lease: Lease, name: str) -> bool:
        self.asked.append("is_kept")
        return name in self.kept


@pytest.fixture
def keeper() -> Keeper:
    return Keeper()


@pytest.fixture
def seen(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> Prefixes:
    monkeypatch.setattr(prefixes, "_tokens", lambda _lease, body, question: [*range(300), ord(question)])
    return Prefixes(cast("InferenceClient", keeper))


@pytest.fixture
def lease(tmp_path: Path) -> Iterator[Lease]:
    """At an engine that isn't there."""
    with socket.socket() as connection:
        yield Lease("m", tmp_path / "none.sock", "key", connection, "a name")


def body(system: str, question: str = "hello") -> dict[str, Any]:
    return {"messages": [{"role": "system", "content": system}, {"role": "user", "content": question}]}


def test_a_long_prompt_is_kept_when_it_comes_a_second_time(seen: Prefixes, lease: Lease) -> None:
    assert not seen.wants(lease, body(LONG, "one"))
    assert not seen.wants(lease, body(LONG + "!", "one"))
    assert seen.wants(lease, body(LONG, "two"))


def test_a_prompt_in_another_form_is_another_one(seen: Prefixes, lease: Lease) -> None:
    told = {"chat_template_kwargs": {"enable_thinking": False}}
    assert not seen.wants(lease, body(LONG))
    assert not seen.wants(lease, body(LONG) | told)
    assert seen.wants(lease, body(LONG) | told)


@pytest.mark.parametrize(
    "asked",
    [body("short"), body("", LONG), {"prompt": LONG}, {"messages": LONG}, {"messages": [5]}, {"messages": []}, {}],
)
def test_short_ones_questions_and_bare_texts_are_not(seen: Prefixes, lease: Lease, asked: dict[str, Any]) -> None:
    assert not any(seen.wants(lease, asked) for _ in range(3))


def test_nothing_is_kept_by_a_child_that_may_not(seen: Prefixes, tmp_path: Path) -> None:
    with socket.socket() as connection:
        lease = Lease("m", tmp_path / "none.sock", "key", connection)
        assert not any(seen.wants(lease, body(LONG)) for _ in range(3))


def test_a_failure_costs_nobody_anything_and_is_not_repeated(seen: Prefixes, lease: Lease, keeper: Keeper) -> None:
    keeper.is_there = False
    assert [seen.wants(lease, body(LONG)) for _ in range(2)] == [False, True]
    seen.keep(lease, body(LONG))
    assert not seen.wants(lease, body(LONG))


def test_what_has_too_few_tokens_is_not_kept(
    seen: Prefixes, lease: Lease, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefixes, "_tokens", lambda _lease, body, question: [*range(200), ord(question)])
    assert [seen.wants(lease, body(LONG)) for _ in range(2)] == [False, True]
    seen.keep(lease, body(LONG))
    assert not seen.wants(lease, body(LONG))
    assert keeper.asked == []


def test_what_is_kept_counts_as_used_each_time_and_is_kept_again_once_it_made_room(
    seen: Prefixes, lease: Lease, keeper: Keeper
) -> None:
    for turn in range(3):
        if seen.wants(lease, body(LONG, str(turn))):
            seen.keep(lease, body(LONG, str(turn)))
    assert keeper.asked == ["keep", "is_kept"]
    keeper.kept.clear()
    assert seen.wants(lease, body(LONG))
    seen.keep(lease, body(LONG))
    assert keeper.asked == ["keep", "is_kept", "is_kept", "keep"]
