"""The time against the battery's clock, the product's year, and itself."""

from pathlib import Path

from appliance.health.checks.clock import BUILT, ClockCheck
from tests.unit.health.checks.machines import found, host

RTC = "/sys/class/rtc/rtc0/since_epoch"
NOW = BUILT + 1000


def test_apart_from_the_batterys_clock(tmp_path: Path) -> None:
    check = ClockCheck(lambda: float(NOW), lambda: 0.0)
    said = [found(check.look(host(tmp_path, {RTC: str(NOW + apart)}))) for apart in (0, 300, -250, 239)]
    assert said == [[], [("wrong", "warning")], [("wrong", "warning")], []]


def test_before_the_product(tmp_path: Path) -> None:
    check = ClockCheck(lambda: BUILT - 1.0, lambda: 0.0)
    assert found(check.look(host(tmp_path, {RTC: str(BUILT - 1)}))) == [("wrong", "error")]


def test_a_jump_is_said_for_an_hour(tmp_path: Path) -> None:
    moments = iter([(NOW, 0.0), (NOW + 59, 1.0), (NOW + 200, 2.0), (NOW + 3700, 3502.0), (NOW + 3900, 3702.0)])
    current = [next(moments)]
    check = ClockCheck(lambda: float(current[0][0]), lambda: current[0][1])
    said = [bool(found(check.look(host(tmp_path))))]
    for moment in moments:
        current[0] = moment
        said.append(bool(found(check.look(host(tmp_path)))))
    assert said == [False, False, True, True, False]


def test_without_a_second_clock_it_is_unknown(tmp_path: Path) -> None:
    check = ClockCheck(lambda: float(NOW), lambda: 0.0)
    for odd in ({}, {RTC: "-5"}, {RTC: "9" * 40}, {RTC: "noon"}):
        assert check.look(host(tmp_path, odd)).state == "unknown"
