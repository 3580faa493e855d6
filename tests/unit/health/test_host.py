"""What a check sees of a machine: files that are there, none, garbage and too large; programs that answer or hang."""

import sys
from pathlib import Path

import pytest

from appliance.health import host
from appliance.health.host import Host, run_program


def test_files_below_the_root_are_read_as_the_machines(tmp_path: Path) -> None:
    seen = Host(tmp_path)
    (tmp_path / "sys/class").mkdir(parents=True)
    (tmp_path / "sys/class/temp").write_text(" 42000\n")
    (tmp_path / "sys/class/junk").write_bytes(b"\xff\x00junk")
    assert seen.number("/sys/class/temp") == 42000
    assert seen.number("/sys/class/junk") is None
    assert seen.number("/sys/class/absent") is None
    assert seen.read("/sys/class") is None
    assert seen.glob("/sys/class/*") == [Path("/sys/class/junk"), Path("/sys/class/temp")]


def test_a_program_that_is_absent_or_hangs_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_program([sys.executable, "-c", "print('seen'); raise SystemExit(4)"]) == "seen\n"
    assert run_program(["/nonexistent/smartctl"]) is None
    monkeypatch.setattr(host, "PROGRAM_S", 0.1)
    assert run_program([sys.executable, "-c", "import time; time.sleep(30)"]) is None


def test_a_file_without_end_is_read_in_part(tmp_path: Path) -> None:
    (tmp_path / "endless").symlink_to("/dev/zero")
    assert len(Host(tmp_path).read("endless") or "") == 1 << 20


def test_the_disk_of_a_folder_and_of_none(tmp_path: Path) -> None:
    disk = host.disk_of(tmp_path)
    assert disk is not None
    assert 0 < disk.free <= disk.total
    assert host.disk_of(tmp_path / "absent") is None
