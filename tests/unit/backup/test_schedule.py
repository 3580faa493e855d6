"""Backups by the clock: when they are due, what a failure looks like, and that no stick is mistaken for another."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import clock
from appliance.config import Backup, load
from appliance.errors import ConfigError
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
