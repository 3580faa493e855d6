"""Room on the disk: full, filling, and emptied again."""

from pathlib import Path

import pytest

from appliance.health.checks.disk import DiskCheck, days_left
from appliance.health.host import Disk
from tests.unit.health.checks.machines import GIB, found, host, is_unknown


def disk(free_gib: float, total_gib: int = 100) -> Disk:
    return Disk(total_gib * GIB, int(free_gib * GIB), 100, 50)


def test_it_warns_and_is_well_again_only_past_the_edge(tmp_path: Path) -> None:
    check = DiskCheck(tmp_path, lambda: 0.0)
    said = [found(check.look(host(tmp_path, disk=disk(free)))) for free in (50, 19, 21, 23, 9, 11, 13, 50)]
    low, bad = [("low", "warning")], [("low", "error")]
    assert said == [[], low, low, [], bad, bad, low, []]


def test_a_few_gigabytes_are_an_error_however_small_the_disk_is(tmp_path: Path) -> None:
    assert found(DiskCheck(tmp_path).look(host(tmp_path, disk=disk(4.9, 6)))) == [("low", "error")]


def test_it_forecasts_when_it_is_full() -> None:
    hours = [(hour * 3600.0, (100 - hour) * 1e9) for hour in range(5)]
    assert days_left(hours) == pytest.approx(96 / 24)
    assert days_left(hours[:1]) is None
    assert days_left([(at, 1e9) for at, _ in hours]) is None
    assert days_left([(at, at) for at, _ in hours]) is None
    assert days_left([(5.0, 1.0), (5.0, 0.0)]) is None


def test_a_disk_that_fills_is_found_after_an_hour(tmp_path: Path) -> None:
    now = [0.0]
    check = DiskCheck(tmp_path, lambda: now[0])
    said = []
    for step in range(5):
        now[0] = step * 1800.0
        said.append(found(check.look(host(tmp_path, disk=disk(90 - step)))))
    assert said == [[], [], [("filling", "warning")], [("filling", "warning")], [("filling", "warning")]]
    look = check.look(host(tmp_path, disk=disk(90 - 4)))
    assert 1 < float(look.findings[0].params["days"]) < 2


def test_what_cannot_be_is_unknown(tmp_path: Path) -> None:
    for odd in (None, Disk(0, 0, 0, 0), Disk(10, 11, 1, 1), Disk(10, -1, 1, 1)):
        assert is_unknown(DiskCheck(tmp_path).look(host(tmp_path, disk=odd)))
