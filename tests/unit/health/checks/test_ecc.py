"""Errors of memory that were counted."""

from pathlib import Path

import pytest

from appliance.health.checks.ecc import EccCheck
from tests.unit.health.checks.machines import found, host, is_unknown

MC = "/sys/devices/system/edac/mc/mc0"


@pytest.mark.parametrize(
    ("mended", "lost", "expected"), [(0, 0, []), (1, 0, [("faults", "warning")]), (1, 1, [("faults", "error")])]
)
def test_counts(tmp_path: Path, mended: int, lost: int, expected: list[tuple[str, str]]) -> None:
    files = {f"{MC}/ce_count": str(mended), f"{MC}/ue_count": str(lost)}
    assert found(EccCheck().look(host(tmp_path, files))) == expected


def test_none_and_garbage_are_unknown(tmp_path: Path) -> None:
    assert is_unknown(EccCheck().look(host(tmp_path)))
    assert is_unknown(EccCheck().look(host(tmp_path, {f"{MC}/ce_count": "-1"})))
    assert is_unknown(EccCheck().look(host(tmp_path, {f"{MC}/ce_count": "many"})))
