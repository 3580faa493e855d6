"""A security chip, none, and one that says nothing."""

from pathlib import Path

from appliance.health.checks.tpm import TpmCheck
from tests.unit.health.checks.machines import host, is_unknown

VERSION = "/sys/class/tpm/tpm0/tpm_version_major"


def test_there_and_not(tmp_path: Path) -> None:
    assert TpmCheck().look(host(tmp_path)).value == "none"
    look = TpmCheck().look(host(tmp_path, {VERSION: "2"}))
    assert (look.state, look.params) == ("ok", {"version": 2})


def test_garbage_is_unknown(tmp_path: Path) -> None:
    for odd in ("", "-2", "two"):
        assert is_unknown(TpmCheck().look(host(tmp_path, {VERSION: odd})))
