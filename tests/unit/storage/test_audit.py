"""The audit log: what is kept, what the database refuses, and which changes of entries are noticed."""

import threading
from contextvars import Context, copy_context

import apsw
import pytest

from appliance import clock
from appliance.errors import CancelledError, VaultDamagedError
from appliance.storage import audit_actions, audit_check, audit_origin
from appliance.storage.audit import Audit
from appliance.storage.checkpoints import Witness
from appliance.storage.database import Database
from tests.unit.storage.audit_lab import KEY, SEED, Lab

TEXTS = "at, actor, action, target, detail"
SWAP = (
    "update audit set number = case number when 2 then -3 else -2 end where number in (2, 3);"
    "update audit set number = -number where number < 0"
)


@pytest.fixture
def filled(lab: Lab) -> Audit:
    """Four entries of which the checkpoint knows the first only, so that the chain alone has to notice."""
    lab.audit.record("usr_alice", "user-created", "usr_bob", role="member")
    lab.audit.record("anonymous", "sign-in-failed", "mallory", tries=2)
    lab.audit.record("usr_bob", "signed-in")
    lab.audit.record("usr_bob", "document-added", "doc_1", size=12.5, name="就業規則.pdf")
    return lab.audit


def test_an_empty_log_is_sound(lab: Lab) -> None:
    report = lab.audit.verify()
    assert (report.is_sound, report.entries, report.checkpoints, report.newest) == (True, 0, 0, None)
    assert lab.audit.checkpoint() is None
    assert lab.audit.entries() == []


def test_entries_come_back_newest_first(filled: Audit) -> None:
    report = filled.verify()
    assert (report.is_sound, report.whole, report.entries) == (True, True, 4)
    newest, *_, oldest = filled.entries()
    assert (newest.number, newest.actor, newest.action, newest.target) == (4, "usr_bob", "document-added", "doc_1")
    assert newest.detail == {"size": 12.5, "name": "就業規則.pdf"}
    assert (oldest.number, oldest.detail) == (1, {"role": "member"})


def test_a_long_log_is_read_in_parts(filled: Audit) -> None:
    first = filled.entries(limit=3)
    rest = filled.entries(limit=3, before=first[-1].number)
    assert [entry.number for entry in (*first, *rest)] == [4, 3, 2, 1]
    assert filled.entries(limit=-1) == []


def test_entries_are_picked_by_who_and_what(filled: Audit) -> None:
    assert [entry.number for entry in filled.entries(actors=["usr_bob", "bob"])] == [4, 3]
    assert [entry.number for entry in filled.entries(action="signed-in")] == [3]
    assert filled.entries(actors=["usr_alice"], action="signed-in") == []
    assert [entry.number for entry in filled.entries(actions=["signed-in", "document-added"])] == [4, 3]
    assert filled.last_number() == 4


def test_entries_are_picked_by_when(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    for at in (100.0, 200.0, 300.0):
        monkeypatch.setattr(clock, "now", lambda at=at: at)
        lab.audit.record("alice", "signed-in")
    assert [entry.at for entry in lab.audit.entries(since=200.0)] == [300.0, 200.0]
    assert [entry.at for entry in lab.audit.entries(until=200.0)] == [100.0]
    assert [entry.at for entry in lab.audit.entries(since=150.0, until=250.0)] == [200.0]


def test_an_entry_holds_where_it_comes_from_also_from_a_thread_that_was_begun_for_it(lab: Lab) -> None:
    def asked() -> None:
        audit_origin.note("browser", "10.0.0.7")
        lab.audit.record("alice", "asked")
        thread = threading.Thread(target=copy_context().run, args=(lab.audit.record, "alice", "asked"))
        thread.start()
        thread.join()
        audit_origin.note("terminal")
        lab.audit.record("operator", "asked")

    Context().run(asked)
    lab.audit.record("box", "box-stopped")
    told = {"via": "browser", "from": "10.0.0.7"}
    assert [entry.detail for entry in lab.audit.entries()] == [{}, {"via": "terminal"}, told, told]


@pytest.mark.parametrize(
    ("action", "detail", "outcome"),
    [
        ("signed-in", {}, "done"),
        ("sign-in-failed", {}, "failed"),
        ("backup-cancelled", {"code": CancelledError.code}, "stopped"),
        ("remote-answer", {"result": "ok"}, "done"),
        ("remote-answer", {"result": "HK-DST-003"}, "failed"),
        ("remote-answer", {"result": CancelledError.code}, "stopped"),
        ("of-another-release", {}, "done"),
    ],
)
def test_how_an_action_ended_is_read_from_its_entry(action: str, detail: dict[str, str], outcome: str) -> None:
    assert audit_actions.outcome(action, detail) == outcome


def test_a_look_tells_how_far_it_is_and_ends_when_nobody_waits(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_check, "_TOLD_EVERY", 2)
    for number in range(6):
        lab.audit.record("alice", "asked", str(number))
    told: list[tuple[int, int]] = []
    assert lab.audit.verify(told=lambda done, total: told.append((done, total))).is_sound
    assert told == [(2, 6), (4, 6), (6, 6)]
    before = lab.audit.report

    def leave(_done: int, _total: int) -> None:
        raise CancelledError

    with pytest.raises(CancelledError):
        lab.audit.verify(told=leave)
    assert lab.audit.report is before


@pytest.mark.parametrize(
    "sql",
    [
        "update audit set actor = 'x' where number = 1",
        "delete from audit",
        "delete from audit where number = 4",
        f"insert or replace into audit select 2, {TEXTS}, previous, hash from audit where number = 1",
        f"insert into audit select 9, {TEXTS}, previous, hash from audit where number = 1",
        f"insert into audit select 0, {TEXTS}, previous, hash from audit where number = 1",
        f"insert into audit select 1, {TEXTS}, previous, hash from audit where 1 on conflict do update set at = 0",
        "update audit_checkpoints set line = ''",
        "delete from audit_checkpoints",
        "insert or replace into audit_checkpoints select serial, number, hash, at, '' from audit_checkpoints",
    ],
)
def test_the_database_refuses_everything_but_the_next_entry(filled: Audit, lab: Lab, sql: str) -> None:
    with pytest.raises(apsw.ConstraintError, match="append-only"), lab.database.write() as connection:
        connection.execute(sql)
    assert filled.verify().is_sound


ALTERATIONS = [
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
]


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_every_alteration_is_noticed(filled: Audit, lab: Lab, alteration: str) -> None:
    lab.tamper(alteration)
    assert "entry" in {found.kind for found in filled.verify().open}


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_every_alteration_is_noticed_behind_a_checkpoint_too(filled: Audit, lab: Lab, alteration: str) -> None:
    filled.checkpoint()
    lab.fill(3)
    lab.tamper(alteration.replace("select 5,", "select 8,").replace("number = 9", "number = 19"))
    assert not filled.verify().is_sound


def test_the_entries_that_do_not_fit_are_named(filled: Audit, lab: Lab) -> None:
    lab.tamper("update audit set actor = 'x' where number in (2, 3)")
    assert lab.found() == ["entry:2-3"]
    filled.record("usr_alice", "signed-in")
    assert filled.entries(limit=1)[0].number == 5


def test_a_chain_under_another_key_is_a_forgery(filled: Audit, lab: Lab) -> None:
    lab.tamper("delete from audit")
    Audit(lab.database, KEY[::-1][:-1] + b"x", Witness(lab.file, SEED)).record("usr_alice", "signed-in")
    assert {"entry", "lost"} <= lab.kinds()


def test_nothing_can_forge_a_line_of_a_printed_log(lab: Lab) -> None:
    lab.audit.record("anonymous", "sign-in-failed", "bob\n1 admin\x1b[2K\u202egpj", note="a\r\nb\0\udc80")
    assert lab.audit.verify().is_sound
    (entry,) = lab.audit.entries()
    assert entry.target == "bob\ufffd1 admin\ufffd[2K\ufffdgpj"
    assert entry.detail == {"note": "a\ufffd\ufffdb\ufffd\ufffd"}


def test_endless_texts_are_cut(lab: Lab) -> None:
    lab.audit.record("a", "b", "長" * 100_000)
    assert lab.audit.entries()[0].target == "長" * 200
    assert lab.audit.verify().is_sound


def test_many_threads_make_one_chain(lab: Lab) -> None:
    def write(actor: str) -> None:
        for _ in range(5):
            lab.audit.record(actor, "signed-in")
            lab.audit.checkpoint()

    threads = [threading.Thread(target=write, args=(f"usr_{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = lab.audit.verify()
    assert (report.is_sound, report.entries) == (True, 20)
    assert report.newest is not None
    assert report.newest.statement.number == 20


def test_a_key_of_the_wrong_length_is_refused(database: Database, lab: Lab) -> None:
    with pytest.raises(VaultDamagedError):
        Audit(database, b"short", Witness(lab.file, SEED))
