"""Disks' own words, as smartctl 7 writes them in JSON."""

import json
from pathlib import Path

import pytest

from appliance.health.checks.smart import SmartCheck
from tests.unit.health.checks.machines import found, host, is_unknown

NVME = {"critical_warning": 0, "available_spare": 100, "available_spare_threshold": 10, "percentage_used": 3,
        "media_errors": 0}  # fmt: skip
PASSED = {"smart_status": {"passed": True}}


def nvme(**changed: object) -> dict[str, object]:
    return {**PASSED, "nvme_smart_health_information_log": {**NVME, **changed}}


def ata(number: int, raw: object) -> dict[str, object]:
    return {**PASSED, "ata_smart_attributes": {"table": [{"id": number, "raw": {"value": raw}}, "odd"]}}


def look(root: Path, said: object, check: SmartCheck | None = None):
    answers = {"smartctl -j -a /dev/nvme0n1": said if said is None or isinstance(said, str) else json.dumps(said)}
    return (check or SmartCheck()).look(
        host(root, {"/sys/block/nvme0n1/size": "1", "/sys/block/loop0/size": "1"}, answers)
    )


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (nvme(), []),
        (nvme(critical_warning=4), [("failing", "error")]),
        ({"smart_status": {"passed": False}}, [("failing", "error")]),
        (nvme(media_errors=1), [("failing", "warning")]),
        (ata(197, 8), [("failing", "warning")]),
        (ata(197, "8"), []),
        (ata(9, 8000), []),
        (nvme(percentage_used=90), [("wearing", "warning")]),
        (nvme(available_spare=19), [("wearing", "warning")]),
        (nvme(percentage_used=-5, available_spare=True), []),
    ],
)
def test_what_a_disk_says(tmp_path: Path, said: object, expected: list[tuple[str, str]]) -> None:
    assert found(look(tmp_path, said)) == expected


@pytest.mark.parametrize("said", [None, "", "[]", "{", "[" * 100_000, "{}", '{"smart_status": 3}', "\ufffd\0"])
def test_no_answer_is_unknown(tmp_path: Path, said: str | None) -> None:
    assert is_unknown(look(tmp_path, said))


def test_no_disk_is_unknown_and_a_mended_one_well(tmp_path: Path) -> None:
    assert is_unknown(SmartCheck().look(host(tmp_path)))
    check = SmartCheck()
    assert look(tmp_path, nvme(critical_warning=1), check).state == "error"
    assert look(tmp_path, nvme(), check).state == "ok"


def test_one_silent_disk_of_two_is_not_well(tmp_path: Path) -> None:
    (tmp_path / "sys/block/sda").mkdir(parents=True)
    assert look(tmp_path, nvme()).state == "unknown"
