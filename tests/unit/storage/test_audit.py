"""The audit log: what is kept, and which changes are noticed."""

import threading

import pytest

from appliance.errors import StoreDamagedError, VaultDamagedError
from appliance.storage.audit import Audit
from appliance.storage.database import Database

KEY = b"\x09" * 32
TEXTS = "at, actor, action, target, detail"
SWAP = (
    "update audit set number = case number when 2 then -3 else -2 end where number in (2, 3);"
    "update audit set number = -number where number < 0"
)


@pytest.fixture
def audit(database: Database) -> Audit:
    return Audit(database, KEY)


@pytest.fixture
def filled(audit: Audit) -> Audit:
    audit.record("usr_alice", "user-created", "usr_bob", role="member")
    audit.record("anonymous", "sign-in-failed", "mallory", tries=2)
    audit.record("usr_bob", "signed-in")
    audit.record("usr_bob", "document-added", "doc_1", size=12.5, name="就業規則.pdf")
    return audit


def change(database: Database, sql: str) -> None:
    """What somebody with the database's key, and without the log's, could do."""
    with database.write() as connection:
        connection.execute(sql)


def test_an_empty_log_is_sound(audit: Audit) -> None:
    assert audit.verify() == 0
    assert audit.entries() == []


def test_entries_come_back_newest_first(filled: Audit) -> None:
    assert filled.verify() == 4
    newest, *_, oldest = filled.entries()
    assert (newest.number, newest.actor, newest.action, newest.target) == (4, "usr_bob", "document-added", "doc_1")
    assert newest.detail == {"size": 12.5, "name": "就業規則.pdf"}
    assert (oldest.number, oldest.detail) == (1, {"role": "member"})


def test_a_long_log_is_read_in_parts(filled: Audit) -> None:
    first = filled.entries(limit=3)
    rest = filled.entries(limit=3, before=first[-1].number)
    assert [entry.number for entry in (*first, *rest)] == [4, 3, 2, 1]
    assert filled.entries(limit=-1) == []


@pytest.mark.parametrize(
    "tampering",
    [
        "update audit set actor = 'usr_carol' where number = 1",
        "update audit set action = 'signed-out' where number = 3",
        "update audit set target = '' where number = 2",
        "update audit set detail = '{\"tries\": 1}' where number = 2",
        "update audit set detail = '{\"tries\":2}' where number = 2",
        "update audit set at = at + 0.001 where number = 4",
        "update audit set hash = randomblob(32) where number = 4",
        "update audit set previous = zeroblob(32) where number = 3",
        "delete from audit where number = 1",
        "delete from audit where number = 3",
        "delete from audit where number = 2; update audit set number = number - 1 where number > 2",
        "update audit set number = 9 where number = 4",
        "update audit set number = -1 where number = 1",
        SWAP,
        f"insert into audit select 5, {TEXTS}, hash, randomblob(32) from audit where number = 4",
        f"insert into audit select 5, {TEXTS}, previous, hash from audit where number = 4",
    ],
)
def test_every_alteration_is_noticed(filled: Audit, database: Database, tampering: str) -> None:
    change(database, tampering)
    with pytest.raises(StoreDamagedError):
        filled.verify()


def test_after_damage_was_found_the_database_still_works(filled: Audit, database: Database) -> None:
    change(database, "update audit set actor = 'x' where number = 1")
    with pytest.raises(StoreDamagedError) as caught:
        filled.verify()
    assert caught.value.detail == "audit entry 1"
    filled.record("usr_alice", "signed-in")
    assert filled.entries(limit=1)[0].number == 5


def test_a_chain_under_another_key_is_a_forgery(filled: Audit, database: Database) -> None:
    change(database, "delete from audit")
    Audit(database, KEY[::-1][:-1] + b"x").record("usr_alice", "signed-in")
    with pytest.raises(StoreDamagedError):
        filled.verify()


def test_a_cut_off_end_alone_goes_unnoticed_as_the_contract_says(filled: Audit, database: Database) -> None:
    change(database, "delete from audit where number > 2")
    assert filled.verify() == 2


def test_nothing_can_forge_a_line_of_a_printed_log(audit: Audit) -> None:
    audit.record("anonymous", "sign-in-failed", "bob\n1 admin\x1b[2K\u202egpj", note="a\r\nb\0\udc80")
    assert audit.verify() == 1
    (entry,) = audit.entries()
    assert entry.target == "bob\ufffd1 admin\ufffd[2K\ufffdgpj"
    assert entry.detail == {"note": "a\ufffd\ufffdb\ufffd\ufffd"}


def test_endless_texts_are_cut(audit: Audit) -> None:
    audit.record("a", "b", "長" * 100_000)
    assert audit.entries()[0].target == "長" * 200
    assert audit.verify() == 1


def test_many_threads_make_one_chain(audit: Audit) -> None:
    def write(actor: str) -> None:
        for _ in range(5):
            audit.record(actor, "signed-in")

    threads = [threading.Thread(target=write, args=(f"usr_{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert audit.verify() == 20


def test_a_key_of_the_wrong_length_is_refused(database: Database) -> None:
    with pytest.raises(VaultDamagedError):
        Audit(database, b"short")
