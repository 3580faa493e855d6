"""A file written and read back, and errors of the kernel's count."""

from pathlib import Path

import pytest

from appliance.health.checks.filesystem import FilesystemCheck, takes_a_file
from tests.unit.health.checks.machines import found, host, is_unknown

COUNT = "/sys/fs/ext4/sda2/errors_count"


def test_a_good_one_takes_the_probe_and_keeps_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    assert FilesystemCheck(data).look(host(tmp_path, {COUNT: "0"})).state == "ok"
    assert not list(data.iterdir())


def test_under_systemd_only_the_folder_of_its_own_is_written(tmp_path: Path) -> None:
    (tmp_path / "data" / "health").mkdir(parents=True)
    seen: list[Path] = []
    FilesystemCheck(tmp_path / "data", lambda folder: bool(seen.append(folder)) or True).look(host(tmp_path))
    assert seen == [tmp_path / "data" / "health"]


def test_errors_and_a_failed_probe_are_found_and_cleared(tmp_path: Path) -> None:
    check = FilesystemCheck(tmp_path, lambda _folder: False)
    assert found(check.look(host(tmp_path, {COUNT: "2"}))) == [("unwritable", "error"), ("errors", "error")]
    assert FilesystemCheck(tmp_path).look(host(tmp_path, {COUNT: "-1"})).state == "ok"


def test_a_folder_that_takes_nothing(tmp_path: Path) -> None:
    assert not takes_a_file(tmp_path / "absent")
    (tmp_path / ".health-probe").mkdir()
    assert not takes_a_file(tmp_path)


def test_without_the_folder_it_is_unknown(tmp_path: Path) -> None:
    assert is_unknown(FilesystemCheck(tmp_path / "absent").look(host(tmp_path)))


def test_a_folder_of_another_account_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_about: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "open", refuse)
    assert takes_a_file(tmp_path) is None
    monkeypatch.undo()
    assert is_unknown(FilesystemCheck(tmp_path, lambda _folder: None).look(host(tmp_path)))
