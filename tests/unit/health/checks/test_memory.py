"""Memory that is short, waited for, broken, or ran out."""

from pathlib import Path

import pytest

from appliance.health.checks.memory import MemoryCheck
from tests.unit.health.checks.machines import found, host, is_unknown


def files(free: int, waited: float = 0, kills: int = 3, broken: int = 0) -> dict[str, str]:
    return {
        "/proc/meminfo": f"MemTotal: 100000 kB\nMemAvailable: {free} kB\nHardwareCorrupted: {broken} kB\n",
        "/proc/pressure/memory": f"some avg10=0.00 avg60=0.00 avg300={waited:.2f} total=5\nfull avg10=0.00",
        "/proc/vmstat": f"nr_free_pages 5\noom_kill {kills}\n",
    }


def test_short_memory_warns_and_is_well_again_only_past_the_edge(tmp_path: Path) -> None:
    check = MemoryCheck()
    said = [found(check.look(host(tmp_path, files(free)))) for free in (50000, 9000, 12000, 14000, 3000)]
    assert said == [[], [("low", "warning")], [("low", "warning")], [], [("low", "error")]]


def test_waiting_broken_and_killed(tmp_path: Path) -> None:
    check = MemoryCheck()
    assert found(check.look(host(tmp_path, files(50000, waited=11)))) == [("low", "warning")]
    assert found(check.look(host(tmp_path, files(50000, waited=41)))) == [("low", "error")]
    assert found(check.look(host(tmp_path, files(50000, broken=4)))) == [("broken", "error")]
    killed = [found(check.look(host(tmp_path, files(50000, kills=4)))) for _ in range(62)]
    assert killed[0] == killed[59] == [("killed", "warning")]
    assert killed[60] == killed[61] == []


@pytest.mark.parametrize("text", ["", "MemTotal: 5 kB", "MemTotal: 5 kB\nMemAvailable: 6 kB", "MemTotal: -5 kB"])
def test_what_cannot_be_is_unknown(tmp_path: Path, text: str) -> None:
    assert is_unknown(MemoryCheck().look(host(tmp_path, {"/proc/meminfo": text})))
