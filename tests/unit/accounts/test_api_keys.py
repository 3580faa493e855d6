"""API keys: made, used, revoked."""

import re

import pytest

from appliance.accounts.api_keys import MAX_KEYS, USED_EVERY_S, ApiKeys
from appliance.accounts.scopes import Scope
from appliance.accounts.users import User, Users
from appliance.errors import ConflictError, NotFoundError, NotSignedInError
from appliance.storage import migrations
from appliance.storage.database import Database

KEY = b"\x05" * 32
NARROW = Scope(
    models=frozenset({"talker", "small"}),
    dialects=frozenset({"openai", "hako"}),
    base_ids=frozenset({"base_1"}),
    may_write=False,
    requests_per_minute=7,
    expires_at=1_800_000_600.5,
)


@pytest.fixture
def keys(database: Database) -> ApiKeys:
    return ApiKeys(database, KEY)


def test_a_key_is_its_owner(keys: ApiKeys, bob: User) -> None:
    made, secret = keys.create(bob.id, "nightly report")
    assert keys.resolve(secret)[0] == bob
    assert re.fullmatch(r"hako_[a-z2-7]{52}", secret)
    assert (made.user_id, made.name, made.used_at) == (bob.id, "nightly report", None)


def test_of_the_secret_only_its_beginning_is_kept(keys: ApiKeys, bob: User, database: Database) -> None:
    made, secret = keys.create(bob.id, "k")
    assert secret.startswith(made.prefix)
    assert len(secret) - len(made.prefix) >= 45
    with database.read() as connection:
        assert secret[len(made.prefix) :] not in str(connection.execute("select * from api_keys").fetchall())
    with pytest.raises(NotSignedInError):
        ApiKeys(database, b"\x06" * 32).resolve(secret)


@pytest.mark.parametrize("secret", ["", "hako_", "hako_" + "a" * 52, "キー", "\udcff"])
def test_a_made_up_key_opens_nothing(keys: ApiKeys, bob: User, secret: str) -> None:
    keys.create(bob.id, "k")
    with pytest.raises(NotSignedInError):
        keys.resolve(secret)


def test_what_is_shown_of_a_key_is_no_way_in(keys: ApiKeys, bob: User) -> None:
    made, _ = keys.create(bob.id, "k")
    for known in (made.prefix, made.id):
        with pytest.raises(NotSignedInError):
            keys.resolve(known)


def test_everybody_sees_and_revokes_their_own(keys: ApiKeys, alice: User, bob: User) -> None:
    hers, _ = keys.create(alice.id, "hers")
    his, secret = keys.create(bob.id, "his")
    assert list(keys.list(bob.id)) == [his]
    with pytest.raises(NotFoundError):
        keys.revoke(alice.id, his.id)
    assert keys.resolve(secret)[0] == bob
    keys.revoke(bob.id, his.id)
    with pytest.raises(NotSignedInError):
        keys.resolve(secret)
    with pytest.raises(NotFoundError):
        keys.revoke(bob.id, his.id)
    assert list(keys.list(alice.id)) == [hers]


def test_a_disabled_account_has_no_working_key(keys: ApiKeys, users: Users, alice: User, bob: User) -> None:
    _, secret = keys.create(bob.id, "k")
    users.disable(bob.id, disabled=True)
    with pytest.raises(NotSignedInError):
        keys.resolve(secret)
    users.disable(bob.id, disabled=False)
    users.update(bob.id, role="operator")
    assert keys.resolve(secret)[0].role == "operator"
    users.delete(bob.id)
    with pytest.raises(NotSignedInError):
        keys.resolve(secret)


def test_use_is_noted_once_a_minute(keys: ApiKeys, bob: User, database: Database, time) -> None:
    _, secret = keys.create(bob.id, "k")
    first = time.now
    keys.resolve(secret)
    time.turn(USED_EVERY_S - 1)
    keys.resolve(secret)
    assert keys.list(bob.id)[0].used_at == first
    time.turn(1)
    keys.resolve(secret)
    assert keys.list(bob.id)[0].used_at == first + USED_EVERY_S


def test_a_person_has_fifty_keys_at_most(keys: ApiKeys, alice: User, bob: User) -> None:
    for number in range(MAX_KEYS):
        last, _ = keys.create(bob.id, f"key {number}")
    with pytest.raises(ConflictError) as caught:
        keys.create(bob.id, "one more")
    assert caught.value.params == {"name": "one more"}
    keys.create(alice.id, "hers")
    keys.revoke(bob.id, last.id)
    keys.create(bob.id, "one more")
    assert [key.name for key in keys.list(bob.id)[:2]] == ["one more", "key 48"]


def test_a_key_keeps_its_scope_and_has_the_whole_one_without(keys: ApiKeys, bob: User, time) -> None:
    narrow, secret = keys.create(bob.id, "narrow", NARROW)
    assert narrow.scope == NARROW
    assert keys.resolve(secret)[1].scope == NARROW
    plain, _ = keys.create(bob.id, "plain")
    assert plain.scope == Scope()
    assert {key.name: key.scope for key in keys.list(bob.id)} == {"narrow": NARROW, "plain": Scope()}


def test_a_key_from_before_there_were_scopes_has_the_whole_one(bob: User, database: Database) -> None:
    with database.write() as connection:
        connection.execute("alter table api_keys drop column scope")
        connection.execute("alter table api_keys drop column expires_at")
        connection.execute(
            "insert into api_keys values ('key_old', ?, 'old', 'hako_abc', ?, 1.0, null)", (bob.id, b"digest")
        )
        connection.execute(migrations.KEY_SCOPES)
    assert [(key.id, key.scope) for key in ApiKeys(database, KEY).list(bob.id)] == [("key_old", Scope())]


def test_a_key_ends_at_its_time(keys: ApiKeys, bob: User, time) -> None:
    _, secret = keys.create(bob.id, "for a while", Scope(expires_at=time.now + 60))
    time.turn(59.9)
    assert keys.resolve(secret)[0] == bob
    assert keys.is_alive(secret)
    time.turn(0.1)
    assert not keys.is_alive(secret)
    with pytest.raises(NotSignedInError):
        keys.resolve(secret)
    assert [key.name for key in keys.list(bob.id)] == ["for a while"]


def test_a_new_scope_holds_from_the_next_request_and_the_secret_stays(keys: ApiKeys, bob: User, time) -> None:
    made, secret = keys.create(bob.id, "k")
    changed = keys.update(bob.id, made.id, scope=NARROW)
    assert (changed.name, changed.scope, changed.prefix) == ("k", NARROW, made.prefix)
    assert keys.resolve(secret)[1].scope == NARROW
    keys.update(bob.id, made.id, name="renamed")
    assert [(key.name, key.scope) for key in keys.list(bob.id)] == [("renamed", NARROW)]
    keys.update(bob.id, made.id, scope=Scope(expires_at=time.now))
    with pytest.raises(NotSignedInError):
        keys.resolve(secret)


def test_nobody_changes_anothers_key(keys: ApiKeys, alice: User, bob: User, time) -> None:
    made, secret = keys.create(bob.id, "k", NARROW)
    for key_id in (made.id, "key_none"):
        with pytest.raises(NotFoundError):
            keys.update(alice.id, key_id, scope=Scope())
        with pytest.raises(NotFoundError):
            keys.get(alice.id, key_id)
    assert keys.resolve(secret)[1].scope == NARROW


def test_an_empty_set_is_everything_and_a_named_one_only_what_it_names() -> None:
    assert (NARROW.has_model("talker"), NARROW.has_model("other")) == (True, False)
    assert (NARROW.has_base("base_1"), NARROW.has_base("base_2")) == (True, False)
    assert NARROW.has_dialect(frozenset({"openai", "anthropic"}))
    assert not NARROW.has_dialect(frozenset({"ollama"}))
    assert not NARROW.has_dialect(frozenset())
    assert Scope().has_model("other")
    assert Scope().has_base("base_2")
    assert Scope().has_dialect(frozenset())
