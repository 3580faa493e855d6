"""Checkpoints of the audit log: when they are made, and that nothing that was confirmed goes away unnoticed."""

import json
from pathlib import Path

import pytest

from appliance import clock
from appliance.errors import ConflictError, DiskFullError
from appliance.storage import audit as audits
from appliance.storage.audit import Audit
from appliance.storage.checkpoints import Checkpoint, Witness
from tests.unit.storage.audit_lab import KEY, SEED, Lab


def confirm(lab: Lab, *counts: int) -> None:
    """So many entries, and a checkpoint after each lot."""
    for count in counts:
        lab.fill(count)
        lab.audit.checkpoint()


@pytest.fixture
def confirmed(lab: Lab) -> Lab:
    """Twelve entries and four checkpoints: at 1, because it is the first entry of all, at 4, 8 and 12."""
    confirm(lab, 4, 4, 4)
    assert lab.found() == []
    return lab


# -- made


def test_the_first_entry_is_confirmed_at_once_and_then_every_hundredth(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audits, "EVERY", 5)
    lab.fill(12)
    assert [json.loads(line)["checkpoint"]["number"] for line in lab.lines()] == [1, 6, 11]


def test_an_entry_after_a_quiet_time_is_confirmed_at_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.fill(2)
    then = clock.now()
    monkeypatch.setattr(clock, "now", lambda: then + audits.WITHIN_S + 1)
    lab.fill(2)
    monkeypatch.setattr(clock, "now", lambda: then - 10_000)  # a clock that was put back
    lab.fill(2)
    assert [json.loads(line)["checkpoint"]["number"] for line in lab.lines()] == [1, 3, 5]


def test_a_checkpoint_names_the_one_before_and_the_box(confirmed: Lab) -> None:
    found = [Checkpoint.parse(line) for line in confirmed.lines()]
    assert all(each and each.is_of(confirmed.audit.public_key) for each in found)
    said = [each.statement for each in found if each]
    assert [each.serial for each in said] == [1, 2, 3, 4]
    assert [each.previous for each in said] == ["0" * 64, *(each.name for each in said[:-1])]
    assert len({each.box for each in said}) == 1


def test_nothing_new_makes_no_new_checkpoint(confirmed: Lab) -> None:
    before = confirmed.lines()
    assert confirmed.audit.checkpoint() == confirmed.audit.newest()
    assert confirmed.lines() == before


def test_the_file_is_for_the_box_only_and_tells_nothing_of_anybody(confirmed: Lab) -> None:
    assert confirmed.file.stat().st_mode & 0o777 == 0o600
    assert confirmed.file.parent.stat().st_mode & 0o777 == 0o700
    content = confirmed.file.read_text("ascii")
    assert not [word for word in ("alice", "document", "doc_") if word in content]


def test_two_boxes_give_the_same_entries_other_digests(lab: Lab, tmp_path: Path) -> None:
    other = Audit(lab.database, KEY[::-1][:-1] + b"x", Witness(tmp_path / "other" / "checkpoints", SEED))
    lab.fill(1)
    ours = lab.audit.checkpoint()
    lab.tamper("delete from audit_checkpoints")
    theirs = other.checkpoint()
    assert ours
    assert theirs
    assert ours.statement.number == theirs.statement.number == 1
    assert ours.statement.digest != theirs.statement.digest


def test_what_is_done_goes_on_when_the_checkpoint_can_not_be_written(lab: Lab) -> None:
    lab.fill(1)
    lab.file.rename(lab.file.with_name("away"))
    lab.file.mkdir()
    confirmed = lab.audit.newest()
    assert confirmed
    lab.fill(audits.EVERY)
    assert lab.audit.entries(1)[0].number == audits.EVERY + 1
    lab.file.rmdir()
    lab.file.with_name("away").rename(lab.file)
    lab.fill(1)
    newest = lab.audit.newest()
    assert newest
    assert newest.statement.number == audits.EVERY + 2
    assert lab.found() == []


def test_a_full_disk_keeps_neither_the_start_nor_the_stop(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_witness: Witness, _made: Checkpoint) -> None:
        raise DiskFullError("no room")

    monkeypatch.setattr(Witness, "append", full)
    lab.audit.begin()
    lab.audit.end()
    assert lab.trail() == ["box-opened", "box-stopped"]


def test_two_processes_make_one_chain_and_see_what_the_other_does(lab: Lab) -> None:
    """Each has a connection of its own, as web and worker have; a checkpoint leaves no old snapshot open in it."""
    other = Lab(lab.folder)
    for _ in range(3):
        confirm(lab, 2)
        assert other.audit.entries(1) == lab.audit.entries(1)
        confirm(other, 2)
        assert other.audit.entries(1) == lab.audit.entries(1)
    other.close()
    assert lab.found() == []
    assert [json.loads(line)["checkpoint"]["serial"] for line in lab.lines()] == list(range(1, 8))


# -- what is no false alarm


def test_entries_after_the_checkpoint_are_no_alarm(confirmed: Lab) -> None:
    confirmed.fill(3)
    assert (confirmed.found(), confirmed.found(whole=False)) == ([], [])


def test_a_power_cut_between_file_and_database_is_no_alarm(confirmed: Lab, tmp_path: Path) -> None:
    confirmed.fill(2)
    before = confirmed.keep("before")
    confirmed.audit.checkpoint()
    confirmed.put_back(before, database=True)
    assert (confirmed.found(), confirmed.found(whole=False)) == ([], [])
    confirm(confirmed, 1)
    assert confirmed.found() == []
    with confirmed.database.read() as connection:
        assert connection.execute("select count(*) from audit_checkpoints").get == len(confirmed.lines()) == 6


def test_half_a_line_from_a_power_cut_is_no_alarm_and_is_written_over(confirmed: Lab) -> None:
    with confirmed.file.open("a") as file:
        file.write(confirmed.lines()[-1][:100])
    assert confirmed.found() == []
    confirm(confirmed, 2)
    assert confirmed.found() == []
    assert len(confirmed.lines()) == 5


def test_a_box_from_before_there_were_checkpoints_begins_with_them(lab: Lab) -> None:
    lab.fill(7)
    lab.tamper("delete from audit_checkpoints")
    lab.file.unlink()
    lab.audit.begin()
    assert lab.trail()[-1] == "box-opened"
    confirm(lab, 1)
    assert lab.found() == []


# -- what is noticed


CUTS = ["number > 11", "number > 4", "number > 1", "number > 0"]


@pytest.mark.parametrize("which", CUTS)
@pytest.mark.parametrize("whole", [True, False])
def test_a_cut_off_end_is_noticed(confirmed: Lab, which: str, whole: bool) -> None:
    confirmed.tamper(f"delete from audit where {which}")
    assert "lost" in confirmed.kinds(whole=whole)


@pytest.mark.parametrize("which", CUTS)
def test_a_cut_off_end_is_noticed_with_its_checkpoints_gone_from_the_database_too(confirmed: Lab, which: str) -> None:
    confirmed.tamper(f"delete from audit where {which}; delete from audit_checkpoints where {which}")
    assert confirmed.kinds() == {"lost"}
    confirmed.fill(20)  # what follows hides nothing
    assert "lost" in confirmed.kinds()
    confirmed.audit.checkpoint()
    assert "lost" in confirmed.kinds()
    assert "lost" in confirmed.kinds(whole=False)


@pytest.mark.parametrize("whole", [True, False])
def test_a_database_that_was_put_back_is_noticed(lab: Lab, whole: bool) -> None:
    confirm(lab, 4)
    older = lab.keep("older")
    confirm(lab, 4, 4)
    lab.put_back(older, database=True)
    assert lab.found(whole=whole) == ["lost:3-4"]
    (found,) = lab.audit.verify(whole=whole).open
    assert found.number == 12


def test_a_database_from_before_the_first_checkpoint_is_noticed(lab: Lab) -> None:
    empty = lab.keep("empty")
    confirm(lab, 4)
    lab.put_back(empty, database=True)
    lab.audit.begin()
    assert lab.trail() == ["audit-not-whole", "box-opened"]
    assert "lost" in lab.kinds()


@pytest.mark.parametrize("whole", [True, False])
def test_a_file_that_was_put_back_is_noticed(lab: Lab, whole: bool) -> None:
    confirm(lab, 4)
    older = lab.keep("older")
    confirm(lab, 4, 4)
    lab.put_back(older, file=True)
    assert lab.found(whole=whole) == ["file:3-4"]
    confirm(lab, 1)
    assert lab.found(whole=whole) == ["file:3-4"]


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_a_file_that_was_cut_is_noticed(confirmed: Lab, kept: int) -> None:
    confirmed.write(confirmed.lines()[:kept])
    assert confirmed.found() == [f"file:{kept + 1}-4"]


def test_a_file_that_was_cut_within_its_last_line_is_noticed(confirmed: Lab) -> None:
    confirmed.file.write_text(confirmed.file.read_text()[:-5])
    assert confirmed.found() == ["file:4-4"]


def test_a_file_that_is_gone_is_noticed(confirmed: Lab) -> None:
    confirmed.file.unlink()
    assert confirmed.found(whole=False) == ["file:1-4"]


def test_both_put_back_to_different_days_is_noticed(lab: Lab) -> None:
    confirm(lab, 4)
    older = lab.keep("older")
    confirm(lab, 4)
    newer = lab.keep("newer")
    confirm(lab, 4)
    lab.put_back(older, database=True)
    lab.put_back(newer, file=True)
    assert lab.found() == ["lost:3-3"]


def test_another_history_after_both_were_put_back_is_noticed_once_they_meet(lab: Lab) -> None:
    """A copy of the whole folder went on by itself, and its file comes back to a database that went on as well."""
    confirm(lab, 4)
    fork = lab.keep("fork")
    other = Lab(fork)
    confirm(other, 3)
    other.close()
    confirm(lab, 2)
    lab.put_back(fork, file=True)
    assert "chain" in lab.kinds()


def test_a_checkpoint_of_another_key_is_no_checkpoint(confirmed: Lab) -> None:
    lines = confirmed.lines()
    made = Checkpoint.parse(lines[2])
    assert made
    forger = Witness(confirmed.file.with_name("x"), b"\x01" * 32)
    confirmed.write([*lines[:2], forger.sign(made.statement).line(), lines[3]])
    assert set(confirmed.found()) == {"forged:3-3", "file:3-3"}


def test_a_checkpoint_that_was_altered_is_no_checkpoint(confirmed: Lab) -> None:
    lines = confirmed.lines()
    said = json.loads(lines[2])
    said["checkpoint"]["number"] = 7
    confirmed.write([*lines[:2], json.dumps(said), lines[3]])
    assert set(confirmed.found()) == {"forged:3-3", "file:3-3"}


@pytest.mark.parametrize("line", ["", "{}", "[]", "\x00", "null", '{"checkpoint": 1, "signature": 2}', "é" * 50])
def test_nonsense_in_the_file_is_told_and_harms_nothing(confirmed: Lab, line: str) -> None:
    confirmed.write([*confirmed.lines(), line])
    assert confirmed.found() == ["forged:5-5"]
    confirm(confirmed, 1)
    assert confirmed.found() == ["forged:5-5"]


def test_nonsense_in_the_database_is_told_and_harms_nothing(confirmed: Lab) -> None:
    confirmed.tamper("update audit_checkpoints set line = 'x' where serial = 4")
    confirmed.tamper("insert into audit_checkpoints values (9, 1, x'00', 0, '{}')")
    assert set(confirmed.found()) == {"stored:4-4", "stored:9-9"}
    confirm(confirmed, 1)
    assert set(confirmed.found()) == {"stored:4-4", "stored:9-9", "chain:5-9"}


def test_a_checkpoint_taken_out_of_both_is_noticed(confirmed: Lab) -> None:
    lines = confirmed.lines()
    confirmed.write([lines[0], lines[1], lines[3]])
    confirmed.tamper("delete from audit_checkpoints where serial = 3")
    assert confirmed.found() == ["chain:3-3"]


def test_entries_that_were_made_anew_with_the_chains_key_do_not_meet_their_checkpoints(confirmed: Lab) -> None:
    confirmed.tamper("delete from audit")
    thief = Audit(confirmed.database, KEY, Witness(confirmed.file.with_name("x"), b"\x01" * 32))
    for number in range(12):
        thief.record("usr_mallory", "document-added", f"doc_{number}")
    assert confirmed.found(whole=False) == ["lost:1-4"]


# -- at the start


def test_a_start_tells_what_it_finds_in_the_log_itself_and_works_on(confirmed: Lab) -> None:
    confirmed.tamper("delete from audit where number > 5")
    confirmed.audit.begin()
    assert confirmed.trail()[-2:] == ["audit-not-whole", "box-opened"]
    assert confirmed.audit.report
    assert [each.key for each in confirmed.audit.report.open] == ["lost:3-4"]
    (told,) = confirmed.audit.entries(action="audit-not-whole")
    assert (told.actor, told.detail) == ("box", {"findings": "lost:3-4"})


def test_a_start_of_a_sound_log_tells_nothing(confirmed: Lab) -> None:
    confirmed.audit.begin()
    confirmed.audit.end()
    assert confirmed.trail()[-2:] == ["box-opened", "box-stopped"]
    newest = confirmed.audit.newest()
    assert newest
    assert newest.statement.number == 14


# -- taken note of


def test_what_an_operator_has_taken_note_of_is_known_and_what_comes_later_is_not(confirmed: Lab) -> None:
    confirmed.tamper("delete from audit where number > 5; update audit set actor = 'x' where number = 2")
    found = confirmed.found()
    assert set(found) == {"entry:2-2", "lost:2-4"}
    report = confirmed.audit.accept(found, "alice", "a backup was put back")
    assert report.is_sound
    assert {each.key for each in report.findings} == set(found)
    assert confirmed.found(whole=False) == []
    assert confirmed.trail()[-1] == "audit-findings-accepted"
    assert confirmed.audit.entries(1)[0].detail == {"findings": " ".join(found), "reason": "a backup was put back"}
    confirm(confirmed, 3, 3)
    assert confirmed.found() == []
    confirmed.tamper("update audit set actor = 'y' where number = 2")  # once more, at the same place
    assert [key.partition(":")[0] for key in confirmed.found()] == ["lost"]
    confirmed.tamper("update audit set actor = 'y' where number = 4")
    assert "entry:4-4" in confirmed.found()


def test_what_was_not_shown_is_not_accepted(confirmed: Lab) -> None:
    confirmed.tamper("update audit set actor = 'x' where number = 2")
    seen = confirmed.found()
    confirmed.tamper("update audit set actor = 'x' where number = 9")
    with pytest.raises(ConflictError):
        confirmed.audit.accept(seen, "alice", "a backup was put back")
    assert not confirmed.audit.verify().is_sound


def test_nobody_but_the_box_can_accept(confirmed: Lab) -> None:
    confirmed.tamper("delete from audit where number > 5")
    newest = confirmed.audit.newest()
    assert newest
    forged = newest.statement.model_copy(update={"serial": 5, "accepts": ("lost:1-9", "chain:1-9", "forged:1-9")})
    line = Witness(confirmed.file.with_name("x"), b"\x01" * 32).sign(forged).line()
    confirmed.write([*confirmed.lines(), line])
    assert set(confirmed.found()) == {"lost:3-4", "forged:5-5"}


def test_accepting_nothing_changes_nothing(confirmed: Lab) -> None:
    before = confirmed.lines()
    assert confirmed.audit.accept([], "alice", "a backup was put back").is_sound
    assert confirmed.lines() == before
