"""Accounts: names, passwords, roles, and that somebody can always run the box."""

import threading

import pytest
from argon2 import PasswordHasher

from appliance.accounts.users import User, Users
from appliance.errors import (
    ConflictError,
    HakoError,
    LastOperatorError,
    NotFoundError,
    WeakPasswordError,
    WrongPasswordError,
)
from appliance.storage.database import Database

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORD = "tealeaves under the bridge"


def stored_hash(database: Database, user_id: str) -> str:
    with database.read() as connection:
        return str(connection.execute("select password_hash from users where id = ?", (user_id,)).get)


def test_a_new_account_has_what_was_given(users: Users, bob: User) -> None:
    assert (bob.name, bob.display_name, bob.role, bob.language) == ("bob", "ボブ", "member", "ja")
    assert (bob.theme, bob.disabled) == ("system", False)
    assert users.get(bob.id) == bob


def test_names_are_unique_in_whatever_case(users: Users, bob: User) -> None:
    with pytest.raises(ConflictError) as caught:
        users.create("BOB", "Another", "member", PASSWORD, "en")
    assert caught.value.params == {"name": "BOB"}
    assert [user.id for user in users.list()] == [bob.id]


def test_everybody_is_listed_by_name(users: Users, bob: User, alice: User) -> None:
    mallory = users.create("Carol", "Carol", "member", PASSWORD, "en")
    assert list(users.list()) == [alice, bob, mallory]
    assert users.count() == 3


def test_the_right_password_is_taken_for_the_name_in_any_case(users: Users, bob: User) -> None:
    assert users.verify("bob", PASSWORD) == bob
    assert users.verify("BoB", PASSWORD) == bob


@pytest.mark.parametrize(("name", "password"), [("bob", "x"), ("bob", ""), ("bobby", PASSWORD), ("", ""), ("%", "")])
def test_a_wrong_password_and_an_unknown_name_are_answered_alike(
    users: Users, bob: User, name: str, password: str
) -> None:
    with pytest.raises(WrongPasswordError) as caught:
        users.verify(name, password)
    assert (caught.value.params, caught.value.detail) == ({}, "")


def test_an_unknown_or_disabled_name_costs_the_same_hashing(database: Database) -> None:
    costs: list[str] = []

    class Counting(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # noqa: A002
            costs.append(str(hash).split("$")[3])
            return super().verify(hash, password)

    users = Users(database, Counting(time_cost=1, memory_cost=8, parallelism=1))
    users.create("alice", "Alice", "operator", PASSWORD, "en")
    gone = users.create("mallory", "M", "member", PASSWORD, "en")
    users.disable(gone.id, disabled=True)
    for name, password in (("alice", "wrong"), ("nobody", "wrong"), ("mallory", PASSWORD), ("alice", "x" * 5000)):
        with pytest.raises(WrongPasswordError):
            users.verify(name, password)
    assert costs == ["m=8,t=1,p=1"] * 4


def test_a_disabled_account_is_refused_and_opens_again(users: Users, alice: User, bob: User) -> None:
    assert users.disable(bob.id, disabled=True).disabled
    with pytest.raises(WrongPasswordError):
        users.verify("bob", PASSWORD)
    assert not users.disable(bob.id, disabled=False).disabled
    assert users.verify("bob", PASSWORD).id == bob.id


def test_the_database_never_holds_the_password(users: Users, bob: User, database: Database) -> None:
    with database.read() as connection:
        rows = connection.execute("select * from users").fetchall()
    assert PASSWORD not in str(rows)
    assert stored_hash(database, bob.id).startswith("$argon2id$")


def test_a_hash_of_an_older_cost_is_replaced_on_signing_in(users: Users, bob: User, database: Database) -> None:
    before = stored_hash(database, bob.id)
    dearer = Users(database, PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))
    with pytest.raises(WrongPasswordError):
        dearer.verify("bob", "not this phrase")
    assert stored_hash(database, bob.id) == before
    dearer.verify("bob", PASSWORD)
    assert "m=16,t=2,p=1" in stored_hash(database, bob.id)
    assert users.verify("bob", PASSWORD).id == bob.id


def test_replacing_an_old_hash_never_undoes_a_new_password(users: Users, bob: User, database: Database) -> None:
    before = stored_hash(database, bob.id)
    users.set_password(bob.id, "seven grey herons at noon")
    after = stored_hash(database, bob.id)
    users._rehash(bob.id, before, PASSWORD)
    assert stored_hash(database, bob.id) == after


def test_a_new_password_replaces_the_old_one(users: Users, bob: User) -> None:
    users.set_password(bob.id, "seven grey herons at noon")
    assert users.verify("bob", "seven grey herons at noon").id == bob.id
    with pytest.raises(WrongPasswordError):
        users.verify("bob", PASSWORD)


def test_a_weak_password_changes_nothing(users: Users, bob: User) -> None:
    for weak in ("short", "passwordpassword1", "my name is bob, hello"):
        with pytest.raises(WeakPasswordError):
            users.set_password(bob.id, weak)
        with pytest.raises(WeakPasswordError):
            users.create("bob2", "bob", "member", weak, "en")
    assert users.verify("bob", PASSWORD).id == bob.id
    assert users.count() == 1


def test_only_what_is_given_changes(users: Users, bob: User) -> None:
    changed = users.update(bob.id, display_name="Robert", theme="dark")
    assert (changed.display_name, changed.theme, changed.language, changed.role) == ("Robert", "dark", "ja", "member")
    assert users.update(bob.id, language="en", role="operator") == users.get(bob.id)
    assert (users.get(bob.id).language, users.get(bob.id).role) == ("en", "operator")


def test_the_last_operator_stays(users: Users, alice: User, bob: User) -> None:
    for attempt in (
        lambda: users.update(alice.id, role="member"),
        lambda: users.disable(alice.id, disabled=True),
        lambda: users.delete(alice.id),
    ):
        with pytest.raises(LastOperatorError):
            attempt()
    assert users.get(alice.id) == alice


def test_a_disabled_operator_is_nobody_who_could_run_the_box(users: Users, alice: User, bob: User) -> None:
    users.update(bob.id, role="operator")
    users.disable(bob.id, disabled=True)
    with pytest.raises(LastOperatorError):
        users.delete(alice.id)
    users.delete(bob.id)
    assert users.count() == 1


def test_with_a_second_operator_the_first_may_go(users: Users, alice: User, bob: User) -> None:
    users.update(bob.id, role="operator")
    users.delete(alice.id)
    with pytest.raises(NotFoundError):
        users.get(alice.id)
    assert users.update(bob.id, role="operator").role == "operator"


def test_two_operators_who_remove_each_other_leave_one(users: Users, alice: User, bob: User) -> None:
    users.update(bob.id, role="operator")
    refused: list[HakoError] = []

    def demote(user_id: str) -> None:
        try:
            users.update(user_id, role="member")
        except LastOperatorError as error:
            refused.append(error)

    threads = [threading.Thread(target=demote, args=(user.id,)) for user in (alice, bob)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    assert [user.role for user in users.list()].count("operator") == 1


def test_nobody_is_not_found(users: Users, alice: User) -> None:
    for attempt in (
        lambda: users.get("usr_none"),
        lambda: users.update("usr_none", role="member"),
        lambda: users.disable("usr_none", disabled=True),
        lambda: users.set_password("usr_none", "seven grey herons at noon"),
        lambda: users.delete("usr_none"),
    ):
        with pytest.raises(NotFoundError):
            attempt()
