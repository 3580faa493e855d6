"""Which prompts are kept: long ones that come again, once each, and again when they had to make room."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.gateway import prefixes
from appliance.gateway.prefixes import Prefixes
from appliance.inference.client import Lease

LONG = "The pump in hall four is checked every day. " * 20


@pytest.fixture
def lease(tmp_path: Path) -> Iterator[Lease]:
    """At an engine that isn't there."""
    with socket.socket() as connection:
        yield Lease("m", tmp_path / "none.sock", "key", connection, str(tmp_path))


def body(system: str, question: str = "hello") -> dict[str, Any]:
    return {"messages": [{"role": "system", "content": system}, {"role": "user", "content": question}]}


def test_a_long_prompt_is_kept_when_it_comes_a_second_time(lease: Lease) -> None:
    seen = Prefixes()
    assert not seen.wants(lease, body(LONG, "one"))
    assert not seen.wants(lease, body(LONG + "!", "one"))
    assert seen.wants(lease, body(LONG, "two"))


def test_a_prompt_in_another_form_is_another_one(lease: Lease) -> None:
    seen = Prefixes()
    told = {"chat_template_kwargs": {"enable_thinking": False}}
    assert not seen.wants(lease, body(LONG))
    assert not seen.wants(lease, body(LONG) | told)
    assert seen.wants(lease, body(LONG) | told)


@pytest.mark.parametrize(
    "asked",
    [body("short"), body("", LONG), {"prompt": LONG}, {"messages": LONG}, {"messages": [5]}, {"messages": []}, {}],
)
def test_short_ones_questions_and_bare_texts_are_not(lease: Lease, asked: dict[str, Any]) -> None:
    seen = Prefixes()
    assert not any(seen.wants(lease, asked) for _ in range(3))


def test_nothing_is_kept_by_a_child_that_may_not(tmp_path: Path) -> None:
    seen = Prefixes()
    with socket.socket() as connection:
        lease = Lease("m", tmp_path / "none.sock", "key", connection)
        assert not any(seen.wants(lease, body(LONG)) for _ in range(3))


def test_a_failure_costs_nobody_anything_and_is_not_repeated(lease: Lease) -> None:
    seen = Prefixes()
    assert [seen.wants(lease, body(LONG)) for _ in range(2)] == [False, True]
    seen.keep(lease, body(LONG))
    assert not seen.wants(lease, body(LONG))


def test_what_is_kept_stays_fresh_while_it_is_used_and_is_kept_again_once_it_made_room(
    lease: Lease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state.kv"
    monkeypatch.setattr(prefixes, "_keep", lambda _lease, _body: state.write_bytes(b"x") and state.name)
    seen = Prefixes()
    assert [seen.wants(lease, body(LONG)) for _ in range(2)] == [False, True]
    seen.keep(lease, body(LONG))
    os.utime(state, (1, 1))
    assert not seen.wants(lease, body(LONG))
    assert state.stat().st_mtime > 1
    state.unlink()
    assert seen.wants(lease, body(LONG))
