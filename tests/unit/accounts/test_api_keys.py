"""API keys: made, used, revoked."""

import re

import pytest

from appliance.accounts.api_keys import MAX_KEYS, USED_EVERY_S, ApiKeys
from appliance.accounts.users import User, Users
from appliance.errors import ConflictError, NotFoundError, NotSignedInError
from appliance.storage.database import Database

KEY = b"\x05" * 32


@pytest.fixture
def keys(database: Database) -> ApiKeys:
    return ApiKeys(database, KEY)


def test_a_key_is_its_owner(keys: ApiKeys, bob: User) -> None:
    made, secret = keys.create(bob.id, "nightly report")
    assert keys.resolve(secret) == bob
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
    assert keys.resolve(secret) == bob
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
    assert keys.resolve(secret).role == "operator"
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
