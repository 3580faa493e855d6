"""Presets: one's own for everybody, shared ones by operators, and nothing of another's."""

from dataclasses import replace

import pytest

from appliance.accounts.permissions import Permission, Principal
from appliance.accounts.users import Users
from appliance.apps import presets
from appliance.apps.presets import Presets
from appliance.errors import ForbiddenError, NotFoundError, TooManyError
from appliance.storage.database import Database

People = dict[str, str]
SAMPLING = {"temperature": 0.2, "stop": ["終わり"]}


@pytest.fixture
def kept(database: Database) -> Presets:
    return Presets(database)


def principal(database: Database, user_id: str) -> Principal:
    return Principal.of(Users(database).get(user_id))


@pytest.fixture
def mallory(database: Database, people: People) -> Principal:
    return principal(database, people["mallory"])


@pytest.fixture
def bob(database: Database, people: People) -> Principal:
    return principal(database, people["bob"])


@pytest.fixture
def alice(database: Database, people: People) -> Principal:
    """An operator."""
    found = principal(database, people["alice"])
    return replace(found, role="operator", permissions=frozenset(Permission))


def test_a_preset_comes_back_as_it_was_kept(kept: Presets, bob: Principal) -> None:
    made = kept.create(bob, "要約", "短く書く。", SAMPLING)
    assert kept.get(bob, made.id) == made
    assert (made.system, made.sampling, made.is_shared) == ("短く書く。", SAMPLING, False)


def test_mallory_neither_sees_nor_changes_nor_deletes_bobs(kept: Presets, bob: Principal, mallory: Principal) -> None:
    made = kept.create(bob, "要約", "", SAMPLING)
    assert not kept.list(mallory)
    for attempt in (kept.get, kept.update, kept.delete):
        with pytest.raises(NotFoundError):
            attempt(mallory, made.id)
    assert kept.list(bob) == [made]


def test_an_operator_does_not_see_what_bob_keeps_for_himself(kept: Presets, alice: Principal, bob: Principal) -> None:
    made = kept.create(bob, "要約", "", SAMPLING)
    with pytest.raises(NotFoundError):
        kept.get(alice, made.id)


def test_a_shared_one_is_everybodys_to_use_and_an_operators_to_change(
    kept: Presets, alice: Principal, bob: Principal
) -> None:
    made = kept.create(alice, "House style", "Be brief.", {}, shared=True)
    assert [(each.id, each.is_changeable_by(bob)) for each in kept.list(bob)] == [(made.id, False)]
    with pytest.raises(ForbiddenError):
        kept.update(bob, made.id, name="Mine")
    with pytest.raises(ForbiddenError):
        kept.delete(bob, made.id)
    assert kept.update(alice, made.id, name="Style").name == "Style"
    kept.delete(alice, made.id)
    assert not kept.list(bob)


def test_bob_can_not_share(kept: Presets, bob: Principal) -> None:
    with pytest.raises(ForbiddenError):
        kept.create(bob, "For all", "", {}, shared=True)
    made = kept.create(bob, "要約", "", {})
    with pytest.raises(ForbiddenError):
        kept.update(bob, made.id, shared=True)
    assert not kept.get(bob, made.id).is_shared


def test_an_operator_shares_a_preset_and_takes_it_back(kept: Presets, alice: Principal, bob: Principal) -> None:
    made = kept.create(alice, "要約", "", {})
    assert kept.update(alice, made.id, shared=True).is_shared
    assert [each.id for each in kept.list(bob)] == [made.id]
    assert kept.update(alice, made.id, shared=False).owner_id == alice.user_id
    assert not kept.list(bob)


def test_what_is_not_given_stays(kept: Presets, bob: Principal) -> None:
    made = kept.create(bob, "要約", "短く書く。", SAMPLING)
    changed = kept.update(bob, made.id, sampling={})
    assert (changed.name, changed.system, changed.sampling) == ("要約", "短く書く。", {})
    assert kept.get(bob, made.id) == changed


def test_the_operator_on_the_box_keeps_shared_ones_only(kept: Presets, bob: Principal) -> None:
    nobody = Principal.system_operator()
    kept.create(bob, "要約", "", {})
    with pytest.raises(ForbiddenError):
        kept.create(nobody, "Own", "", {})
    made = kept.create(nobody, "House style", "", {}, shared=True)
    assert kept.list(nobody) == [made]
    with pytest.raises(ForbiddenError):
        kept.update(nobody, made.id, shared=False)


def test_own_ones_go_with_the_account_and_shared_ones_stay(
    kept: Presets, database: Database, alice: Principal, bob: Principal
) -> None:
    own = kept.create(alice, "Own", "", {})
    shared = kept.create(alice, "House style", "", {}, shared=True)
    with database.write() as connection:
        connection.execute("delete from users where id = ?", (alice.user_id,))
    with pytest.raises(NotFoundError):
        kept.get(alice, own.id)
    assert kept.list(bob) == [shared]


def test_there_is_an_end_to_how_many(
    kept: Presets, alice: Principal, bob: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presets, "MOST", 2)
    for number in range(2):
        kept.create(alice, f"own {number}", "", {})
        kept.create(alice, f"shared {number}", "", {}, shared=True)
    with pytest.raises(TooManyError):
        kept.create(alice, "one more", "", {})
    with pytest.raises(TooManyError):
        kept.update(alice, kept.list(alice)[0].id, shared=True)
    assert kept.create(bob, "Bob has room", "", {}).name == "Bob has room"
