"""Which checks are due, the watch over the machine, and that one broken check takes no other along."""

import threading
from pathlib import Path

import pytest

from appliance import clock
from appliance.errors import DiskFullError
from appliance.health import seen
from appliance.health.check import Group
from appliance.health.finding import Finding, Look
from appliance.health.host import Host
from appliance.health.turns import CRASHED, due, looked
from appliance.health.watch import WRITE_S, MachineWatch


class Check:
    """One that counts its looks."""

    group: Group = "machine"
    codes = {"high": "HK-HLT-001"}  # noqa: RUF012 - one for the test

    def __init__(self, name: str, every_s: float, fails: type[Exception] | None = None) -> None:
        self.name, self.every_s, self.fails = name, every_s, fails
        self.looks = 0

    def look(self, _host: Host) -> Look:
        self.looks += 1
        if self.fails is not None:
            raise self.fails("secret of the machine")
        return Look(
            self.name, "high", findings=(Finding(self.name, "high", "warning", "HK-HLT-001", {"n": self.looks}),)
        )


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1_800_000_000.0]
    monkeypatch.setattr(clock, "now", lambda: now[0])
    return now


def test_a_check_is_due_at_first_when_its_time_has_come_and_when_the_clock_went_back() -> None:
    check = Check("disk", 60)
    assert due([check], {}, 1000) == [check]
    assert due([check], {"disk": 950}, 1000) == []
    assert due([check], {"disk": 940}, 1000) == [check]
    assert due([check], {"disk": 5000}, 1000) == [check]


@pytest.mark.parametrize("error", [ValueError, DiskFullError, OSError])
def test_a_check_that_crashes_is_unknown(error: type[Exception]) -> None:
    look = looked(Check("disk", 60, error), lambda check: check.look(Host())).look
    assert (look.state, look.note, look.findings) == ("unknown", CRASHED, ())


def test_the_watch_looks_at_what_is_due_and_writes_all_it_knows(tmp_path: Path, at: list[float]) -> None:
    fast, slow, broken = Check("disk", 60), Check("smart", 3600), Check("usb", 60, ValueError)
    path = tmp_path / "health.json"
    watch = MachineWatch([fast, slow, broken], Host(tmp_path), path)
    watch.turn()
    first = seen.read(path)
    assert [each.look.check for each in first] == ["disk", "smart", "usb"]
    assert first[0].look.findings[0].params == {"n": 1}
    at[0] += 61
    watch.turn()
    assert [check.looks for check in (fast, slow, broken)] == [2, 1, 2]
    assert [each.look.findings[0].params["n"] for each in seen.read(path)[:2]] == [2, 1]
    watch.ask()
    watch.turn()
    assert [check.looks for check in (fast, slow, broken)] == [3, 2, 3]


def test_the_file_is_written_each_minute_so_that_silence_is_noticed(tmp_path: Path, at: list[float]) -> None:
    path = tmp_path / "health.json"
    watch = MachineWatch([Check("smart", 3600)], Host(tmp_path), path)
    watch.turn()
    path.unlink()
    watch.turn()
    assert not path.exists()
    at[0] += WRITE_S + 1
    watch.turn()
    assert len(seen.read(path)) == 1


def test_the_watch_ends_at_once_when_told(tmp_path: Path) -> None:
    stop, turns = threading.Event(), threading.Semaphore(0)
    watch = MachineWatch([Check("disk", 60)], Host(tmp_path), tmp_path / "health.json")
    thread = threading.Thread(target=watch.run, args=(stop, turns.release))
    thread.start()
    assert turns.acquire(timeout=10)
    stop.set()
    watch.ask()
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'[{"look": {"check": 1}}]', b"\xff", b'{"a": 1}'])
def test_a_file_that_cannot_be_read_is_as_if_nobody_had_looked(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "health.json"
    path.write_bytes(content)
    assert seen.read(path) == []
