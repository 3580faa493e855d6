"""Backups by the clock: when they are due, what a failure looks like, and that no stick is mistaken for another."""

import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from appliance import clock
from appliance.backup.schedule import Schedule, next_time
from appliance.config import Backup, load
from appliance.errors import BackupFolderError, BadInputError, ConfigError
from tests.simulators.backed_box import BackedBox

HOUR = 3600.0


class Clock:
    """What time it is, for everybody."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at = clock.now()
        monkeypatch.setattr("appliance.clock.now", lambda: self.at)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def daily(tmp_path: Path, stick: Path) -> Iterator[BackedBox]:
    box = BackedBox(tmp_path / "box", backup=Backup(folder=stick, hours=24, keep=2))
    yield box
    box.close()


def test_a_backup_is_made_when_it_is_due_and_not_before(daily: BackedBox, stick: Path, now: Clock) -> None:
    assert daily.backups.state() == "waiting"
    assert daily.backups.tick()
    assert not daily.backups.tick()  # it waits for the worker already
    assert daily.work().state == "done"
    assert daily.backups.state() == "ok"
    now.at += 23 * HOUR
    assert not daily.backups.tick()
    now.at += 2 * HOUR
    assert daily.backups.tick()
    assert daily.work().state == "done"
    now.at += 25 * HOUR
    assert daily.backups.tick()
    daily.work()
    assert len(daily.repository(stick).ids()) == 2
    now.at += 49 * HOUR
    assert daily.backups.state() == "late"


def test_a_clock_that_was_put_back_does_not_stop_them(daily: BackedBox, now: Clock) -> None:
    daily.backups.tick()
    daily.work()
    now.at -= 400 * 24 * HOUR
    assert daily.backups.tick()


def test_a_missing_stick_is_a_failure_that_is_seen_recorded_and_tried_again(
    daily: BackedBox, stick: Path, now: Clock
) -> None:
    daily.backups.tick()
    daily.work()
    shutil.move(stick, stick.with_name("pulled"))
    now.at += 25 * HOUR
    assert daily.backups.tick()
    assert daily.backups.state() == "failed"
    assert daily.backups.last()["create"]["code"] == "HK-BAK-001"
    assert daily.trail[-1] == "backup-failed"
    assert not daily.backups.tick()
    shutil.move(stick.with_name("pulled"), stick)
    now.at += HOUR
    assert daily.backups.tick()
    assert daily.work().state == "done"
    assert daily.backups.state() == "ok"


def test_an_empty_mount_point_is_not_taken_for_the_stick(daily: BackedBox, stick: Path, now: Clock) -> None:
    daily.backups.tick()
    daily.work()
    shutil.rmtree(stick / "hako-backup")
    now.at += 25 * HOUR
    assert daily.backups.tick()
    assert daily.work().error_code == "HK-BAK-001"
    assert list(stick.iterdir()) == []
    assert daily.run("create", stick).state == "done"  # by hand it may be begun anew
    now.at += 25 * HOUR
    daily.backups.tick()
    assert daily.work().state == "done"


def test_a_backup_by_hand_counts_too(daily: BackedBox, stick: Path) -> None:
    daily.run("create", stick)
    assert not daily.backups.tick()


def test_without_the_setting_nothing_is_made(box: BackedBox) -> None:
    assert (box.backups.tick(), box.backups.state(), box.backups.job()) == (False, "off", None)


def test_one_that_is_cancelled_is_recorded_as_such(daily: BackedBox, stick: Path, now: Clock) -> None:
    daily.backups.start("create", str(stick), "alice")
    daily.backups.cancel()
    assert not daily.worker.step()
    job = daily.backups.job()
    assert job is not None
    assert job.state == "cancelled"
    assert daily.repository(stick).ids() == []
    now.at += HOUR
    assert daily.backups.tick()


@pytest.mark.parametrize("said", ["hours = 24", 'folder = "relative"', 'folder = "/a/../b"', "hours = -1", "keep = -1"])
def test_settings_that_can_not_be_meant_are_refused(tmp_path: Path, said: str) -> None:
    (tmp_path / "hako.toml").write_text(f"[backup]\n{said}\n")
    with pytest.raises(ConfigError):
        load(data_dir=tmp_path)


# -- set on the page


def shown(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%d %H:%M")  # noqa: DTZ006 - as on the wall


def at_noon(now: Clock) -> None:
    now.at = datetime(2026, 5, 20, 12, 0).timestamp()  # noqa: DTZ001


def test_what_is_set_on_the_page_counts_from_then_on_and_survives_a_restart(
    daily: BackedBox, stick: Path, tmp_path: Path
) -> None:
    assert daily.backups.schedule() == Schedule(folder=stick, hours=24, keep=2)
    other = tmp_path / "other"
    other.mkdir()
    daily.backups.plan(Schedule(folder=other, at="02:30", keep=5), "alice")
    entry = daily.audit.entries()[0]
    assert (entry.actor, entry.action, entry.target) == ("alice", "backup-planned", "other")
    assert entry.detail == {"hours": 0, "at": "02:30", "keep": 5}
    daily.close()
    again = BackedBox(daily.settings.data_dir, backup=daily.settings.backup)
    plan = again.backups.schedule()
    assert (plan.folder, plan.hours, plan.at, plan.keep, plan.set_by) == (other, 0, "02:30", 5, "alice")
    again.backups.plan(Schedule(folder=other), "alice")  # off, though the settings file wants one
    assert (again.backups.tick(), again.backups.state(), again.backups.due_at()) == (False, "off", None)
    again.close()


def test_each_day_at_its_time(box: BackedBox, stick: Path, now: Clock) -> None:
    at_noon(now)
    box.backups.plan(Schedule(folder=stick, at="02:30", keep=2), "alice")
    assert not box.backups.tick()  # not because it was set, only once it is time
    assert box.backups.state() == "waiting"
    assert shown(box.backups.due_at() or 0) == "21 02:30"
    now.at += 14.6 * HOUR
    assert box.backups.tick()
    assert box.work().state == "done"
    assert shown(box.backups.due_at() or 0) == "22 02:30"
    now.at += 23 * HOUR
    assert not box.backups.tick()
    assert box.run("create", stick).state == "done"  # one by hand just before doesn't put it off
    now.at += HOUR
    assert box.backups.tick()
    box.work()
    now.at += 40 * HOUR  # it was off meanwhile: made up for at once
    assert box.backups.tick()
    box.work()
    assert len(box.repository(stick).ids()) == 2
    now.at += 49 * HOUR
    assert box.backups.state() == "late"


def test_one_that_fails_is_tried_again_after_an_hour(box: BackedBox, stick: Path, now: Clock) -> None:
    at_noon(now)
    box.backups.plan(Schedule(folder=stick, at="13:00"), "alice")
    stick.rmdir()
    now.at += 1.5 * HOUR
    assert box.backups.tick()
    assert box.backups.state() == "failed"
    assert shown(box.backups.due_at() or 0) == "20 14:30"


@pytest.mark.parametrize(
    ("after", "time", "then"),
    [((12, 0), "12:00", "21 12:00"), ((12, 0), "12:01", "20 12:01"), ((12, 0), "00:00", "21 00:00")],
)
def test_the_next_time_is_later_than_now(after: tuple[int, int], time: str, then: str) -> None:
    assert shown(next_time(datetime(2026, 5, 20, *after).timestamp(), time)) == then  # noqa: DTZ001


def test_without_a_schedule_a_backup_is_late_after_a_month(box: BackedBox, stick: Path, now: Clock) -> None:
    box.run("create", stick)
    now.at += 29 * 24 * HOUR
    assert box.backups.state() == "off"
    now.at += 2 * 24 * HOUR
    assert (box.backups.state(), box.backups.tick()) == ("late", False)


def test_a_schedule_needs_a_folder_that_is_there(box: BackedBox, tmp_path: Path) -> None:
    with pytest.raises(BackupFolderError):
        box.backups.plan(Schedule(folder=tmp_path / "none", hours=1), "alice")
    with pytest.raises(BadInputError):
        box.backups.plan(Schedule(folder=Path("relative"), hours=1), "alice")
    for wrong in ({"hours": 1}, {"at": "25:00", "folder": tmp_path}, {"hours": 1, "at": "01:00", "folder": tmp_path}):
        with pytest.raises(ValueError):
            Schedule.model_validate(wrong)
    assert box.backups.schedule() == Schedule()


# -- what is known of the snapshots


def test_each_snapshot_tells_when_it_was_verified_and_rehearsed(box: BackedBox, stick: Path, now: Clock) -> None:
    box.run("create", stick)
    box.run("verify", stick)
    verified = now.at
    now.at += HOUR
    box.run("create", stick)
    box.run("rehearse", stick)
    newest, first = box.repository(stick).ids()
    marks = box.backups.marks()
    assert (marks[first].verified, marks[first].rehearsed) == (verified, None)
    assert (marks[newest].verified, marks[newest].rehearsed) == (None, now.at)
    made = box.backups.newest()
    assert made is not None
    assert (made.id, made.at, made.folder) == (newest, now.at, stick)


def test_damage_takes_the_marks_of_that_folder_away_and_a_failure_leaves_the_newest_known(
    box: BackedBox, stick: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for folder in (stick, other):
        box.run("create", folder)
        box.run("verify", folder)
    (safe,) = box.repository(other).ids()
    next(stick.glob("hako-backup/*/objects/??/*")).write_bytes(b"x")
    assert box.run("verify", stick).error_code == "HK-BAK-003"
    assert [name for name, mark in box.backups.marks().items() if mark.verified] == [safe]
    shutil.rmtree(stick)
    with pytest.raises(BackupFolderError):
        box.backups.start("create", str(stick), "alice")
    shutil.rmtree(other)
    other.touch()
    box.backups.ended("create", "alice", other, BackupFolderError(name="other"))
    newest = box.backups.newest()
    assert newest is not None
    assert (newest.id, newest.folder) == (safe, other)
