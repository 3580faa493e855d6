"""The processor's instructions and how busy it is."""

from pathlib import Path

import pytest

from appliance.health.checks.cpu import CpuCheck
from tests.unit.health.checks.machines import found, host, is_unknown


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("flags\t\t: fpu avx avx2 fma f16c", []),
        ("flags\t\t: fpu avx", [("lacking", "warning")]),
        ("Features\t: fp asimd asimddp", []),
        ("Features\t: fp asimd", [("lacking", "warning")]),
    ],
)
def test_instructions(tmp_path: Path, line: str, expected: list[tuple[str, str]]) -> None:
    assert found(CpuCheck().look(host(tmp_path, {"/proc/cpuinfo": f"processor\t: 0\n{line}\n"}))) == expected


def test_how_busy_it_was_since_the_last_look(tmp_path: Path) -> None:
    check, info = CpuCheck(), "processor: 0\nflags: avx2 fma f16c"
    first = check.look(host(tmp_path, {"/proc/cpuinfo": info, "/proc/stat": "cpu  10 0 0 90 0 0 0 0 0 0\n"}))
    later = check.look(host(tmp_path, {"/proc/stat": "cpu  40 0 0 160 0 0 0 0 0 0\n"}))
    assert (first.value, first.measures) == ("cores", {})
    assert (later.params["percent"], later.measures) == (30, {"cpu.used": pytest.approx(0.3)})
    assert check.look(host(tmp_path, {"/proc/stat": "cpu  1 0 0 1 0 0 0 0 0 0\n"})).measures == {}


def test_without_a_word_of_it_it_is_unknown(tmp_path: Path) -> None:
    assert is_unknown(CpuCheck().look(host(tmp_path)))
    assert is_unknown(CpuCheck().look(host(tmp_path, {"/proc/cpuinfo": b"\xff\xfe\x00"})))
