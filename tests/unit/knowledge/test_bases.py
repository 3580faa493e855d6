"""Bases: who sees and changes what, names, and what deleting one leaves behind."""

from dataclasses import replace

import pytest

from appliance.accounts.permissions import Principal
from appliance.accounts.scopes import Scope
from appliance.errors import ConflictError, ForbiddenError, KeyScopeError, NotFoundError
from appliance.knowledge.bases import Base
from tests.simulators.library import Library, member, operator

ALICE, BOB, MALLORY = member("alice"), member("bob"), member("mallory")
SYSTEM = Principal.system_operator()


def names(library: Library, who: Principal) -> list[str]:
    return [base.name for base in library.bases.readable(who)]


def test_a_private_base_is_its_owners_alone(library: Library) -> None:
    base = library.bases.create(ALICE, "Salaries")
    assert names(library, ALICE) == ["Salaries"]
    assert names(library, MALLORY) == []
    assert base.writable_by(ALICE)
    assert not base.writable_by(operator("bob"))


def test_a_shared_base_is_read_by_all_and_written_by_its_owner(library: Library) -> None:
    base = library.bases.create(ALICE, "Rules", "of the house", "everyone")
    assert library.bases.get(BOB, base.id) == base
    assert not base.writable_by(BOB)
    assert not base.writable_by(operator("bob"))


def test_a_base_made_at_the_admin_socket_belongs_to_the_system(library: Library) -> None:
    base = library.bases.create(SYSTEM, "Sample", visibility="everyone")
    assert base.owner_id is None
    assert base.writable_by(operator("alice"))
    assert base.writable_by(SYSTEM)
    assert not base.writable_by(BOB)
    assert names(library, BOB) == ["Sample"]


def test_a_private_base_of_the_system_is_seen_by_operators_only(library: Library) -> None:
    library.bases.create(SYSTEM, "Drafts")
    assert names(library, SYSTEM) == names(library, operator("alice")) == ["Drafts"]
    assert names(library, ALICE) == []


def test_the_systems_bases_come_first(library: Library) -> None:
    library.bases.create(ALICE, "Alpha")
    library.bases.create(SYSTEM, "Zulu", visibility="everyone")
    library.bases.create(ALICE, "beta")
    assert names(library, ALICE) == ["Zulu", "Alpha", "beta"]


def test_names_are_taken_whatever_their_case(library: Library) -> None:
    library.bases.create(ALICE, "Rules")
    other = library.bases.create(BOB, "Other")
    with pytest.raises(ConflictError) as refused:
        library.bases.create(BOB, "rules")
    assert refused.value.params == {"name": "rules"}
    with pytest.raises(ConflictError):
        library.bases.update(BOB, other.id, name="RULES")


def test_a_base_keeps_its_own_name_in_another_case(library: Library) -> None:
    base = library.bases.create(ALICE, "rules")
    changed = library.bases.update(ALICE, base.id, name="Rules", description="new", visibility="everyone")
    assert (changed.name, changed.description, changed.visibility) == ("Rules", "new", "everyone")
    assert library.bases.update(ALICE, base.id, description="").name == "Rules"


def test_mallory_can_neither_see_nor_change_a_private_base(library: Library, shelf: Base) -> None:
    for attempt in (
        lambda: library.bases.get(MALLORY, shelf.id),
        lambda: library.bases.update(MALLORY, shelf.id, name="mine"),
        lambda: library.bases.delete(MALLORY, shelf.id),
    ):
        with pytest.raises(NotFoundError):
            attempt()
    assert library.bases.personal(MALLORY, shelf.name).id != shelf.id
    library.bases.release("usr_mallory")
    assert library.bases.get(ALICE, shelf.id).documents == 2


def test_mallory_can_not_change_what_she_may_read(library: Library) -> None:
    base = library.bases.create(ALICE, "Rules", visibility="everyone")
    for attempt in (
        lambda: library.bases.update(MALLORY, base.id, name="mine"),
        lambda: library.bases.delete(MALLORY, base.id),
    ):
        with pytest.raises(ForbiddenError):
            attempt()
    assert names(library, ALICE) == ["Rules"]


def test_deleting_a_base_leaves_nothing_of_it(library: Library, shelf: Base) -> None:
    waiting = library.add(ALICE, shelf, "# Not yet read")
    library.bases.delete(ALICE, shelf.id)
    tables = ("bases", "documents", "pages", "passages", "sentences", "passage_vectors", "sentence_vectors", "blobs")
    assert library.rows(*tables) == dict.fromkeys(tables, 0)
    assert not [path for path in library.blobs._folder.rglob("*") if path.is_file()]
    with library.database.read() as connection:
        assert connection.execute("select count(*) from sqlite_schema where name like 'base\\_%' escape '\\'").get == 0
    assert not library.worker.step()
    with pytest.raises(NotFoundError):
        library.documents.get(ALICE, waiting.id)
    assert library.found([shelf], "夜勤手当") == []


def test_a_blob_that_another_base_uses_stays(library: Library, shelf: Base) -> None:
    other = library.bases.create(BOB, "Copies")
    copied = library.take_in(BOB, other, "# Shared\n\nThe same bytes in two bases.")
    library.take_in(ALICE, shelf, "# Shared\n\nThe same bytes in two bases.")
    library.bases.delete(ALICE, shelf.id)
    assert b"".join(library.documents.original(BOB, copied.id)[1]).startswith(b"# Shared")


def test_a_new_base_does_not_inherit_from_a_deleted_one(library: Library, shelf: Base) -> None:
    library.bases.delete(ALICE, shelf.id)
    again = library.bases.create(BOB, "Handbooks")
    assert again.number == shelf.number
    assert library.found([again], "夜勤手当") == []


def test_everybody_gets_a_personal_base_of_the_same_name(library: Library) -> None:
    mine = library.bases.personal(ALICE, "Chat files")
    assert (mine.name, mine.visibility, mine.owner_id) == ("Chat files", "private", ALICE.user_id)
    assert library.bases.personal(ALICE, "Chat files").id == mine.id
    bobs = library.bases.personal(BOB, "chat files")
    assert bobs.name == "chat files (bob)"
    assert library.bases.personal(BOB, "chat files").id == bobs.id


def test_nobody_can_take_the_name_of_a_personal_base_away(library: Library) -> None:
    library.bases.create(MALLORY, "Chat files", visibility="everyone")
    library.bases.create(MALLORY, "Chat files (alice)")
    assert library.bases.personal(ALICE, "Chat files").name == "Chat files (alice) 2"
    assert library.bases.personal(MALLORY, "Chat files").visibility == "private"


def test_when_a_person_goes_private_bases_are_erased_and_shared_ones_stay(library: Library, shelf: Base) -> None:
    shared = library.bases.create(ALICE, "Rules", visibility="everyone")
    kept = library.take_in(ALICE, shared, "# Rules\n\nNo smoking in the archive.")
    library.bases.release("usr_alice")
    with library.database.write() as connection:
        connection.execute("delete from users where id = 'usr_alice'")
    with pytest.raises(NotFoundError):
        library.bases.get(SYSTEM, shelf.id)
    assert library.bases.get(BOB, shared.id).owner_id is None
    document = library.documents.get(BOB, kept.id)
    assert (document.state, document.created_by) == ("ready", "")
    assert library.rows("blobs") == {"blobs": 1}


def with_key(who: Principal, scope: Scope) -> Principal:
    return replace(who, via="key", key_id="key_1", scope=scope)


def test_for_a_key_there_are_only_the_bases_of_its_scope(library: Library) -> None:
    inside, outside = library.bases.create(ALICE, "Rules"), library.bases.create(ALICE, "Salaries")
    theirs = library.bases.create(MALLORY, "Theirs")
    key = with_key(ALICE, Scope(base_ids=frozenset({inside.id, theirs.id})))
    assert names(library, key) == ["Rules"]
    assert library.bases.get(key, inside.id) == inside
    for base in (outside, theirs):
        for act in (
            lambda base=base: library.bases.get(key, base.id),
            lambda base=base: library.bases.update(key, base.id, name="x"),
            lambda base=base: library.bases.delete(key, base.id),
        ):
            with pytest.raises(NotFoundError):
                act()
    assert library.bases.update(key, inside.id, description="new").description == "new"


def test_a_key_for_certain_bases_makes_none(library: Library) -> None:
    files = library.bases.personal(ALICE, "Chat files")
    key = with_key(ALICE, Scope(base_ids=frozenset({"base_gone"})))
    with pytest.raises(KeyScopeError):
        library.bases.create(key, "Rules")
    with pytest.raises(KeyScopeError):
        library.bases.personal(key, "Other files")
    with pytest.raises(NotFoundError):
        library.bases.personal(key, "Chat files")
    assert library.bases.personal(with_key(ALICE, Scope(base_ids=frozenset({files.id}))), "Chat files") == files
    assert names(library, ALICE) == ["Chat files"]


def test_a_key_that_may_not_write_changes_no_base(library: Library) -> None:
    base = library.bases.create(ALICE, "Rules")
    key = with_key(ALICE, Scope(may_write=False))
    assert not library.bases.get(key, base.id).writable_by(key)
    with pytest.raises(ForbiddenError):
        library.bases.update(key, base.id, name="x")
