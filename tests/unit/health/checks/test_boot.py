"""Last words of a kernel that crashed."""

from pathlib import Path

from appliance.health.checks.boot import BootCheck
from tests.unit.health.checks.machines import found, host, is_unknown


def test_kept_moved_and_removed(tmp_path: Path) -> None:
    (tmp_path / "sys/fs/pstore").mkdir(parents=True)
    assert BootCheck().look(host(tmp_path)).state == "ok"
    moved = "/var/lib/systemd/pstore/dmesg-efi-1"
    assert found(BootCheck().look(host(tmp_path, {moved: "Oops"}))) == [("crashed", "warning")]
    (tmp_path / moved.lstrip("/")).unlink()
    assert BootCheck().look(host(tmp_path)).state == "ok"


def test_no_store_and_one_that_may_not_be_read_are_unknown(tmp_path: Path) -> None:
    assert is_unknown(BootCheck().look(host(tmp_path)))
    assert is_unknown(BootCheck().look(host(tmp_path, {"/sys/fs/pstore": "not a folder"})))
