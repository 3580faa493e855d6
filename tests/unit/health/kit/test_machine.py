"""The computer's part of a support kit: what it is made of, without numbers that tell one machine from another."""

import json
from pathlib import Path

from appliance.config import Settings
from appliance.health.kit import machine
from tests.unit.health.checks.machines import host

FILES = {
    "/proc/cpuinfo": "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Gold\nflags\t\t: avx2 fma\n\n"
    "processor\t: 1\nmodel name\t: Intel(R) Xeon(R) Gold\nflags\t\t: avx2 fma\n",
    "/proc/meminfo": "MemTotal:       16384000 kB\nSwapTotal:             0 kB\n",
    "/proc/sys/kernel/osrelease": "6.1.0-18-amd64\n",
    "/etc/os-release": 'NAME="Debian"\nID=debian\nVERSION_ID="12"\n',
    "/sys/class/dmi/id/sys_vendor": "Maker Inc.",
    "/sys/class/dmi/id/product_serial": "SERIAL-1",
    "/sys/class/dmi/id/bios_vendor": "\x00\x1b[31m",
    "/sys/block/nvme0n1/size": "1000000000",
    "/sys/block/nvme0n1/device/model": "FAST 500",
    "/sys/block/nvme0n1/device/serial": "SERIAL-2",
    "/sys/block/loop0/size": "8",
    "/sys/class/net/eth0/address": "52:54:00:12:34:56",
}
ASKED = "systemctl show hako* --property=Id,LoadState,ActiveState,SubState,Result,NRestarts,ExecMainStatus"
UNITS = """Id=hako-web.service
ActiveState=active
NRestarts=2

Id=someone.service
ActiveState=active

Id=hako-keys.service
ActiveState=failed
Environment=SECRET=1"""


def test_hardware_without_serial_numbers(tmp_path: Path) -> None:
    found = machine.hardware(host(tmp_path, FILES))
    assert found["cpu"] == {"name": "Intel Xeon Gold", "cores": 2, "flags": ["avx2", "fma"]}
    assert (found["memory_mb"], found["kernel"]) == (16000, "6.1.0-18-amd64")
    assert found["system"] == {"ID": "debian", "VERSION_ID": "12"}
    assert found["disks"] == [{"name": "nvme0n1", "model": "FAST 500", "size_gb": 512, "turns": False}]
    assert (found["maker"]["sys_vendor"], found["maker"]["bios_vendor"]) == ("Maker Inc.", "")
    text = json.dumps(found)
    assert "SERIAL" not in text
    assert "52:54" not in text


def test_units_are_the_boxs_own_in_order(tmp_path: Path) -> None:
    found = machine.units(host(tmp_path, answers={ASKED: UNITS}))
    assert [unit["Id"] for unit in found] == ["hako-keys.service", "hako-web.service"]
    assert found[1] == {"Id": "hako-web.service", "ActiveState": "active", "NRestarts": "2"}
    assert machine.units(host(tmp_path)) == []


def test_an_empty_machine_and_a_process_that_is_not_there(tmp_path: Path) -> None:
    assert machine.hardware(host(tmp_path))["cpu"] == {"name": "", "cores": 0, "flags": []}
    assert machine.ask(Settings(data_dir=tmp_path)) is None
