"""A processor that slows itself down."""

from pathlib import Path

from appliance.health.checks.throttling import ThrottlingCheck
from tests.unit.health.checks.machines import found, host, is_unknown

COUNT = "/sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count"


def test_it_is_said_for_a_quarter_of_an_hour(tmp_path: Path) -> None:
    check = ThrottlingCheck()
    said = [bool(found(check.look(host(tmp_path, {COUNT: str(count)})))) for count in [5, 6, *[6] * 16]]
    assert said == [False, *[True] * 15, False, False]


def test_no_counter_and_garbage_are_unknown(tmp_path: Path) -> None:
    assert is_unknown(ThrottlingCheck().look(host(tmp_path)))
    assert is_unknown(ThrottlingCheck().look(host(tmp_path, {COUNT: "-4"})))
