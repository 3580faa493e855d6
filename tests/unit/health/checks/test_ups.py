"""A power supply as upsc tells of it."""

from pathlib import Path

import pytest

from appliance.health.checks.ups import UpsCheck
from tests.unit.health.checks.machines import found, host, is_unknown


def answers(status: str | None) -> dict[str, str | None]:
    return {"upsc -l": "desk\n", "upsc desk ups.status": status}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("OL CHRG", []),
        ("OB DISCHRG", [("on_battery", "warning")]),
        ("OB LB", [("on_battery", "error")]),
        ("OL RB", [("worn", "warning")]),
    ],
)
def test_states(tmp_path: Path, status: str, expected: list[tuple[str, str]]) -> None:
    assert found(UpsCheck().look(host(tmp_path, answers=answers(status)))) == expected


def test_none_a_hanging_one_and_garbage_are_unknown(tmp_path: Path) -> None:
    assert is_unknown(UpsCheck().look(host(tmp_path)))
    assert is_unknown(UpsCheck().look(host(tmp_path, answers={"upsc -l": "--help\n; rm\n"})))
    for odd in (None, "", "\ufffd", "Error: Data stale"):
        assert is_unknown(UpsCheck().look(host(tmp_path, answers=answers(odd))))
