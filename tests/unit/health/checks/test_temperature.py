"""Sensors against their limits, and fans that stop."""

from pathlib import Path

from appliance.health.checks.temperature import TemperatureCheck
from tests.unit.health.checks.machines import found, host, is_unknown

HW = "/sys/class/hwmon/hwmon0"


def at(celsius: int, fan: int = 900) -> dict[str, str]:
    return {
        f"{HW}/name": "coretemp", f"{HW}/temp1_input": str(celsius * 1000), f"{HW}/temp1_crit": "90000",
        f"{HW}/fan1_input": str(fan),
    }  # fmt: skip


def test_it_warns_and_is_well_again_only_past_the_edge(tmp_path: Path) -> None:
    check = TemperatureCheck()
    said = [found(check.look(host(tmp_path, at(celsius)))) for celsius in (50, 80, 78, 76, 90, 88, 86)]
    warm, hot = [("hot", "warning")], [("hot", "error")]
    assert said == [[], warm, warm, [], hot, hot, warm]
    assert check.look(host(tmp_path, at(55))).measures == {"temperature.cpu": 55.0}


def test_a_fan_that_turned_and_stands_while_it_is_warm(tmp_path: Path) -> None:
    check = TemperatureCheck()
    assert found(check.look(host(tmp_path, at(70, fan=0)))) == []
    assert found(check.look(host(tmp_path, at(70)))) == []
    assert found(check.look(host(tmp_path, at(40, fan=0)))) == []
    assert found(check.look(host(tmp_path, at(70, fan=0)))) == [("fan", "error")]
    assert found(check.look(host(tmp_path, at(70)))) == []


def test_no_sensor_and_one_that_is_not_connected_are_unknown(tmp_path: Path) -> None:
    assert is_unknown(TemperatureCheck().look(host(tmp_path)))
    for odd in ("-128000", "255000", "warm"):
        assert is_unknown(TemperatureCheck().look(host(tmp_path, {f"{HW}/temp1_input": odd})))


def test_a_limit_that_cannot_be_is_not_taken(tmp_path: Path) -> None:
    assert found(TemperatureCheck().look(host(tmp_path, {**at(50), f"{HW}/temp1_crit": "0"}))) == []
