"""Random numbers: ready, not yet, and a kernel that can't be asked."""

from pathlib import Path

from appliance.health.checks import entropy
from appliance.health.checks.entropy import EntropyCheck
from tests.unit.health.checks.machines import host, is_unknown


def cannot() -> bool:
    raise OSError(38, "no such call")


def test_states(tmp_path: Path) -> None:
    assert EntropyCheck().look(host(tmp_path)).state == "ok"
    assert is_unknown(EntropyCheck(lambda: False).look(host(tmp_path)))
    assert is_unknown(EntropyCheck(cannot).look(host(tmp_path)))


def test_a_kernel_that_is_not_ready(monkeypatch) -> None:
    def blocks(_size: int, _flags: int) -> bytes:
        raise BlockingIOError

    monkeypatch.setattr(entropy.os, "getrandom", blocks)
    assert not entropy.is_ready()


def test_the_figure_of_available_entropy_is_not_asked(tmp_path: Path) -> None:
    assert EntropyCheck().look(host(tmp_path, {"/proc/sys/kernel/random/entropy_avail": "1"})).state == "ok"
