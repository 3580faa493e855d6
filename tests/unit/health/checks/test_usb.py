"""USB devices that come and go."""

import shutil
from pathlib import Path

from appliance.health.checks.usb import UsbCheck
from tests.unit.health.checks.machines import found, host, is_unknown


def device(name: str, kind: str = "00", maker: str = "0781") -> dict[str, str]:
    folder = f"/sys/bus/usb/devices/{name}"
    return {f"{folder}/idVendor": maker, f"{folder}/idProduct": "5581", f"{folder}/bDeviceClass": kind}


def test_a_new_one_is_said_for_an_hour_or_until_it_is_gone(tmp_path: Path) -> None:
    now = [0.0]
    check = UsbCheck(lambda: now[0])
    assert found(check.look(host(tmp_path, device("1-1")))) == []
    now[0] = 15.0
    look = check.look(host(tmp_path, device("1-2")))
    assert found(look) == [("appeared", "warning")]
    assert look.findings[0].params == {"device": "0781:5581"}
    shutil.rmtree(tmp_path / "sys/bus/usb/devices/1-2")
    assert found(check.look(host(tmp_path))) == []
    check.look(host(tmp_path, device("1-2")))
    now[0] += 3600
    assert found(check.look(host(tmp_path))) == []


def test_hubs_and_garbage_are_no_devices(tmp_path: Path) -> None:
    check = UsbCheck(lambda: 0.0)
    check.look(host(tmp_path, device("1-1")))
    assert found(check.look(host(tmp_path, {**device("usb2", "09"), **device("1-3", maker="<b>")}))) == []


def test_without_usb_it_is_unknown(tmp_path: Path) -> None:
    assert is_unknown(UsbCheck().look(host(tmp_path)))
