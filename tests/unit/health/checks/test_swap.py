"""Swap: none, used, nearly full."""

from pathlib import Path

from appliance.health.checks.swap import SwapCheck
from tests.unit.health.checks.machines import found, host, is_unknown


def test_it_warns_and_is_well_again_only_past_the_edge(tmp_path: Path) -> None:
    check = SwapCheck()
    said = [
        found(check.look(host(tmp_path, {"/proc/meminfo": f"SwapTotal: 100 kB\nSwapFree: {free} kB"})))
        for free in (50, 20, 29, 31)
    ]
    assert said == [[], [("full", "warning")], [("full", "warning")], []]


def test_none_is_well_and_what_cannot_be_unknown(tmp_path: Path) -> None:
    assert SwapCheck().look(host(tmp_path, {"/proc/meminfo": "SwapTotal: 0 kB"})).state == "ok"
    assert is_unknown(SwapCheck().look(host(tmp_path, {"/proc/meminfo": "SwapTotal: 1 kB\nSwapFree: 2 kB"})))
