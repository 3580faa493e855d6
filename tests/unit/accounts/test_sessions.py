"""Sessions: how they begin, hold, run out and end."""

import hashlib
from contextlib import AbstractContextManager

import apsw
import pytest

from appliance.accounts.sessions import ABSOLUTE_S, IDLE_S, SEEN_EVERY_S, Sessions
from appliance.accounts.users import User, Users
from appliance.errors import DiskFullError, NotFoundError, NotSignedInError, VaultDamagedError
from appliance.storage.database import Database

KEY = b"\x05" * 32


@pytest.fixture
def sessions(database: Database) -> Sessions:
    return Sessions(database, KEY)


def writes(database: Database) -> int:
    with database.read() as connection:
        return connection.total_changes()


def test_a_token_leads_back_to_the_person(sessions: Sessions, bob: User) -> None:
    token = sessions.start(bob, "Firefox")
    user, session_id = sessions.resume(token)
    assert user == bob
    assert [known.id for known in sessions.list(bob.id)] == [session_id]
    assert sessions.is_alive(session_id)


def test_tokens_are_long_and_never_the_same(sessions: Sessions, bob: User) -> None:
    tokens = {sessions.start(bob, "") for _ in range(5)}
    assert len(tokens) == 5
    assert all(len(token) == 43 for token in tokens)


@pytest.mark.parametrize("token", ["", "x", "a" * 43, "ありえない", "\udcff", "' or 1=1 --"])
def test_a_made_up_token_opens_nothing(sessions: Sessions, bob: User, token: str) -> None:
    sessions.start(bob, "")
    with pytest.raises(NotSignedInError):
        sessions.resume(token)


def test_the_database_holds_neither_token_nor_its_plain_hash(sessions: Sessions, bob: User, database: Database) -> None:
    token = sessions.start(bob, "")
    with database.read() as connection:
        rows = connection.execute("select * from sessions").fetchall()
    assert token not in str(rows)
    assert hashlib.sha256(token.encode()).digest() not in rows[0]
    with pytest.raises(NotSignedInError):
        Sessions(database, b"\x06" * 32).resume(token)


def test_a_session_id_is_no_way_in(sessions: Sessions, bob: User) -> None:
    sessions.start(bob, "")
    with pytest.raises(NotSignedInError):
        sessions.resume(sessions.list(bob.id)[0].id)


def test_a_key_of_the_wrong_length_is_refused(database: Database) -> None:
    with pytest.raises(VaultDamagedError):
        Sessions(database, b"short")


def test_rest_ends_a_session_and_use_keeps_it(sessions: Sessions, bob: User, time) -> None:
    token = sessions.start(bob, "")
    for _ in range(3):
        time.turn(IDLE_S - 1)
        _, session_id = sessions.resume(token)
    time.turn(IDLE_S)
    with pytest.raises(NotSignedInError):
        sessions.resume(token)
    assert not sessions.is_alive(session_id)
    assert sessions.list(bob.id) == []


def test_after_a_month_use_keeps_it_no_longer(sessions: Sessions, bob: User, time) -> None:
    token, began = sessions.start(bob, ""), time.now
    while time.now + IDLE_S / 2 < began + ABSOLUTE_S:
        time.turn(IDLE_S / 2)
        sessions.resume(token)
    time.turn(IDLE_S / 2)
    with pytest.raises(NotSignedInError):
        sessions.resume(token)


def test_a_session_from_the_future_ends_when_the_clock_is_set_right(sessions: Sessions, bob: User, time) -> None:
    time.turn(10 * 365 * 86400.0)
    token = sessions.start(bob, "")
    time.turn(-10 * 365 * 86400.0)
    with pytest.raises(NotSignedInError):
        sessions.resume(token)


def test_looking_often_writes_once_a_minute(sessions: Sessions, bob: User, time, database: Database) -> None:
    token = sessions.start(bob, "")
    before = writes(database)
    for _ in range(5):
        time.turn(SEEN_EVERY_S / 6)
        sessions.resume(token)
    assert writes(database) == before
    time.turn(SEEN_EVERY_S)
    sessions.resume(token)
    assert writes(database) == before + 1
    assert sessions.list(bob.id)[0].seen_at == time.now


def test_a_full_disk_keeps_nobody_out(
    sessions: Sessions, bob: User, time, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = sessions.start(bob, "")
    time.turn(SEEN_EVERY_S)

    def full() -> AbstractContextManager[apsw.Connection]:
        raise DiskFullError

    monkeypatch.setattr(database, "write", full)
    user, _ = sessions.resume(token)
    assert user == bob


def test_a_new_role_and_a_disabled_account_hold_at_once(
    sessions: Sessions, users: Users, alice: User, bob: User
) -> None:
    token = sessions.start(bob, "")
    users.update(bob.id, role="operator")
    user, session_id = sessions.resume(token)
    assert user.role == "operator"
    users.disable(bob.id, disabled=True)
    with pytest.raises(NotSignedInError):
        sessions.resume(token)
    assert not sessions.is_alive(session_id)


def test_signing_out_ends_this_session_only(sessions: Sessions, bob: User) -> None:
    here, there = sessions.start(bob, "here"), sessions.start(bob, "there")
    sessions.end(here)
    sessions.end(here)
    with pytest.raises(NotSignedInError):
        sessions.resume(here)
    assert sessions.resume(there)[0] == bob
    assert [known.user_agent for known in sessions.list(bob.id)] == ["there"]


def test_one_session_is_ended_by_its_owner_only(sessions: Sessions, alice: User, bob: User) -> None:
    token = sessions.start(bob, "")
    _, session_id = sessions.resume(token)
    with pytest.raises(NotFoundError):
        sessions.end_one(alice.id, session_id)
    assert sessions.is_alive(session_id)
    sessions.end_one(bob.id, session_id)
    assert not sessions.is_alive(session_id)
    with pytest.raises(NotFoundError):
        sessions.end_one(bob.id, session_id)


def test_ending_all_leaves_other_people_alone(sessions: Sessions, alice: User, bob: User) -> None:
    hers, his = sessions.start(alice, ""), [sessions.start(bob, "") for _ in range(2)]
    sessions.end_all(bob.id)
    assert sessions.resume(hers)[0] == alice
    for token in his:
        with pytest.raises(NotSignedInError):
            sessions.resume(token)


def test_deleting_the_account_ends_its_sessions(sessions: Sessions, users: Users, alice: User, bob: User) -> None:
    token = sessions.start(bob, "")
    users.delete(bob.id)
    with pytest.raises(NotSignedInError):
        sessions.resume(token)
    with pytest.raises(NotSignedInError):
        sessions.start(bob, "")


def test_starting_clears_away_what_has_run_out(
    sessions: Sessions, alice: User, bob: User, time, database: Database
) -> None:
    sessions.start(bob, "")
    time.turn(IDLE_S)
    sessions.start(alice, "")
    with database.read() as connection:
        assert connection.execute("select count(*) from sessions").get == 1


def test_the_last_used_session_comes_first(sessions: Sessions, bob: User, time) -> None:
    first = sessions.start(bob, "first")
    time.turn(10)
    sessions.start(bob, "second")
    assert [known.user_agent for known in sessions.list(bob.id)] == ["second", "first"]
    time.turn(SEEN_EVERY_S)
    sessions.resume(first)
    assert [known.user_agent for known in sessions.list(bob.id)] == ["first", "second"]
