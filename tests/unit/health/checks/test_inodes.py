"""Room for files."""

from pathlib import Path

from appliance.health.checks.inodes import InodesCheck
from appliance.health.host import Disk
from tests.unit.health.checks.machines import found, host, is_unknown


def test_it_warns_and_is_well_again_only_past_the_edge(tmp_path: Path) -> None:
    check = InodesCheck(tmp_path)
    said = [found(check.look(host(tmp_path, disk=Disk(1, 1, 100, free)))) for free in (50, 19, 21, 23, 9)]
    assert said == [[], [("low", "warning")], [("low", "warning")], [], [("low", "error")]]


def test_a_file_system_without_a_limit_is_well(tmp_path: Path) -> None:
    assert InodesCheck(tmp_path).look(host(tmp_path, disk=Disk(1, 1, 0, 0))).state == "ok"


def test_what_cannot_be_is_unknown(tmp_path: Path) -> None:
    for odd in (None, Disk(1, 1, -1, 0), Disk(1, 1, 5, 6), Disk(1, 1, 5, -6)):
        assert is_unknown(InodesCheck(tmp_path).look(host(tmp_path, disk=odd)))
