"""Long answers ask whether the session that began them still holds; the set-up link is good for one account."""

import socket
from types import SimpleNamespace
from typing import Any

import pytest
from argon2 import PasswordHasher
from flask import Flask

from appliance import clock
from appliance.accounts.api_keys import ApiKeys
from appliance.accounts.scopes import Scope
from appliance.accounts.sessions import Sessions
from appliance.accounts.users import User, Users
from appliance.storage.database import Database
from webui import session, setup_link

KEY = b"\x05" * 32
PASSWORD = "tealeaves under the bridge"


@pytest.fixture
def services(database: Database) -> Any:
    return SimpleNamespace(
        database=database,
        users=Users(database, PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)),
        sessions=Sessions(database, KEY),
        api_keys=ApiKeys(database, KEY),
    )


@pytest.fixture
def bob(services: Any) -> User:
    return services.users.create("bob", "Bob", "member", PASSWORD, "en")


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    passed = [0.0]
    monkeypatch.setattr(session, "monotonic", lambda: passed[0])
    return passed


def test_an_ended_session_is_noticed_within_two_seconds(services: Any, bob: User, seconds: list[float]) -> None:
    token = services.sessions.start(bob, "")
    with Flask("test").test_request_context(headers={"Cookie": f"hako={token}"}):
        ended = session.revoked(services)
    seconds[0] = 2.0
    assert not ended()
    services.sessions.end(token)
    seconds[0] = 3.9
    assert not ended()  # not asked again yet
    seconds[0] = 4.0
    assert ended()
    assert ended()


def test_a_revoked_key_ends_what_it_began(services: Any, bob: User, seconds: list[float]) -> None:
    made, secret = services.api_keys.create(bob.id, "script")
    with Flask("test").test_request_context(headers={"Authorization": f"Bearer {secret}"}):
        ended = session.revoked(services)
    seconds[0] = 5.0
    assert not ended()
    services.api_keys.revoke(bob.id, made.id)
    seconds[0] = 10.0
    assert ended()


def test_a_key_that_runs_out_ends_what_it_began(
    services: Any, bob: User, seconds: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.now()
    _made, secret = services.api_keys.create(bob.id, "for a while", Scope(expires_at=now + 3600))
    with Flask("test").test_request_context(headers={"X-Api-Key": secret}):
        ended = session.revoked(services)
    seconds[0] = 5.0
    assert not ended()
    monkeypatch.setattr(clock, "now", lambda: now + 3600)
    seconds[0] = 10.0
    assert ended()


def test_a_disabled_account_ends_what_its_keys_and_sessions_began(
    services: Any, bob: User, seconds: list[float]
) -> None:
    _made, secret = services.api_keys.create(bob.id, "script")
    questions = []
    for headers in ({"X-Api-Key": secret}, {"Cookie": f"hako={services.sessions.start(bob, '')}"}):
        with Flask("test").test_request_context(headers=headers):
            questions.append(session.revoked(services))
    services.users.create("alice", "Alice", "operator", PASSWORD, "en")
    services.users.disable(bob.id, disabled=True)
    seconds[0] = 2.0
    assert [ended() for ended in questions] == [True, True]


def test_the_admin_socket_has_no_session_to_end(services: Any, seconds: list[float]) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs, Flask("test").test_request_context(environ_overrides={"gunicorn.socket": ours}):
        ended = session.revoked(services)
    seconds[0] = 10.0
    assert not ended()


def test_only_the_newest_link_works_and_only_without_an_account(services: Any) -> None:
    first, second = setup_link.make(services), setup_link.make(services)
    assert first is not None
    assert second is not None
    tokens = [each.path.removeprefix("/setup?token=") for each in (first, second)]
    assert [setup_link.is_valid(services, token) for token in (*tokens, "", "wrong")] == [False, True, False, False]
    services.users.create("alice", "Alice", "operator", PASSWORD, "en")
    assert not setup_link.is_valid(services, tokens[1])
    assert setup_link.make(services) is None


def test_a_closed_link_works_no_more_and_only_its_hash_was_kept(services: Any, database: Database) -> None:
    made = setup_link.make(services)
    assert made is not None
    token = made.path.removeprefix("/setup?token=")
    with database.read() as connection:
        stored = str(connection.execute("select * from settings").fetchall())
    assert not [secret for secret in (token, made.code, made.code.replace("-", "")) if secret in stored]
    setup_link.close(services)
    assert not setup_link.is_valid(services, token)
