"""The firmware's variable: four bytes of attributes and one of state."""

from pathlib import Path

import pytest

from appliance.health.checks.secureboot import SecureBootCheck
from tests.unit.health.checks.machines import found, host, is_unknown

VARIABLE = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"


def test_on_and_off(tmp_path: Path) -> None:
    assert SecureBootCheck().look(host(tmp_path, {VARIABLE: b"\x06\0\0\0\x01"})).state == "ok"
    assert found(SecureBootCheck().look(host(tmp_path, {VARIABLE: b"\x06\0\0\0\0"}))) == [("off", "warning")]


@pytest.mark.parametrize("odd", [b"", b"\x06\0\0\0", b"\x06\0\0\0\x07", b"\xff" * 9])
def test_garbage_is_unknown(tmp_path: Path, odd: bytes) -> None:
    assert is_unknown(SecureBootCheck().look(host(tmp_path, {VARIABLE: odd})))


def test_without_the_firmware_it_is_unknown(tmp_path: Path) -> None:
    assert is_unknown(SecureBootCheck().look(host(tmp_path)))
