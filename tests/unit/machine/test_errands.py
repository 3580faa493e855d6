"""The machine's own errands: a network on trial, name, time and certificate, and everything out of shape refused."""

import json
import subprocess
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import appliance
from appliance.errors import (
    CertificateNameError,
    HelperFailedError,
    HelperRefusedError,
    NetworkTrialError,
    NotArrivedError,
)
from appliance.machine import cards, kept
from appliance.machine import helper_shapes as shapes
from appliance.machine.errands import BROUGHT
from tests.simulators.certificates import AT, certificate, new_key, pem_of
from tests.simulators.machine import Machine
from tests.simulators.waiting import eventually

STATIC = {"interface": "eth0", "dhcp": False, "address": "192.0.2.7/24", "gateway": "192.0.2.1", "dns": ["192.0.2.2"]}


def asked(machine: Machine, **message: Any) -> dict[str, Any]:
    return machine.helper.act(shapes.parsed(message))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path, now=(AT + timedelta(days=1)).timestamp)


def test_the_machine_is_told_as_systemd_knows_it(machine: Machine) -> None:
    said = asked(machine, verb="machine")
    assert said["cards"] == [
        {"name": "eth0", "hardware": "02:00:00:00:00:01", "cable": True, "addresses": ("192.0.2.50/24",),
         "gateway": "192.0.2.1", "dns": ("192.0.2.2",), "dhcp": True, "mdns": True}
    ]  # fmt: skip
    assert (said["name"], said["zone"], said["ntp"], said["trial"]) == ("hako", "Etc/UTC", False, None)


def test_a_network_is_on_trial_where_the_next_start_does_not_see_it(machine: Machine) -> None:
    assert asked(machine, verb="set-network", **STATIC) == {"trial_s": 60}
    file = machine.root / "run/systemd/network/05-hako-eth0.network"
    assert machine.file() == file
    lines = file.read_text("ascii").splitlines()
    assert lines[1:5] == ["[Match]", "Name=eth0", "", "[Network]"]
    assert lines[5:] == [
        "LLMNR=no", "MulticastDNS=yes", "LinkLocalAddressing=ipv6", "DHCP=no", "IPv6AcceptRA=no",
        "Address=192.0.2.7/24",
        "Gateway=192.0.2.1", "DNS=192.0.2.2",
    ]  # fmt: skip
    assert (file.stat().st_mode & 0o777, machine.ran) == (0o644, [["reload"]])
    trial = asked(machine, verb="machine")["trial"]
    assert (trial["interface"], trial["address"], 50 < trial["left_s"] <= 60) == ("eth0", "192.0.2.7", True)
    assert [path.name for path in (machine.root / "etc/systemd/network").iterdir()] == ["80-hako.network"]
    with pytest.raises(NetworkTrialError):
        asked(machine, verb="set-network", interface="eth0", dhcp=True)


def test_it_is_kept_by_who_comes_in_by_it_and_by_nobody_else(machine: Machine) -> None:
    asked(machine, verb="set-network", **STATIC)
    for elsewhere in ("192.0.2.50", "127.0.0.1", "fe80::1"):
        with pytest.raises(NotArrivedError):
            asked(machine, verb="keep-network", arrived=elsewhere)
    asked(machine, verb="keep-network", arrived="192.0.2.7")
    assert machine.file() == machine.root / "etc/systemd/network/10-hako-eth0.network"
    assert asked(machine, verb="machine")["trial"] is None
    with pytest.raises(NetworkTrialError):
        asked(machine, verb="keep-network", arrived="192.0.2.7")
    assert asked(machine, verb="machine")["cards"][0]["dhcp"] is False


def test_it_is_taken_back_when_nobody_comes(tmp_path: Path) -> None:
    machine = Machine(tmp_path, trial_s=0.2)
    asked(machine, verb="set-network", **STATIC)
    assert machine.network.is_on_trial
    eventually(lambda: not machine.network.is_on_trial)
    assert machine.file().name == "80-hako.network"
    assert machine.ran == [["reload"], ["reload"]]
    asked(machine, verb="set-network", interface="eth0", dhcp=True, mdns=False)
    asked(machine, verb="keep-network", arrived="192.0.2.50")
    time.sleep(0.3)  # its time has run out, too, but it was kept
    assert machine.file().read_text().count("MulticastDNS=no") == 1


def test_it_is_taken_back_when_asked_when_the_helper_ends_and_when_one_was_killed(machine: Machine) -> None:
    asked(machine, verb="set-network", **STATIC)
    asked(machine, verb="drop-network")
    assert machine.file().name == "80-hako.network"
    with pytest.raises(NetworkTrialError):
        asked(machine, verb="drop-network")
    asked(machine, verb="set-network", **STATIC)
    machine.network.close()
    assert machine.file().name == "80-hako.network"
    (machine.root / "run/systemd/network/05-hako-eth0.network").write_text("[Network]\n")
    machine.network.begin()
    assert machine.file().name == "80-hako.network"


def test_a_network_that_systemd_does_not_take_leaves_nothing(machine: Machine) -> None:
    machine.failing = subprocess.CalledProcessError(1, "busctl", stderr=b"no")
    with pytest.raises(HelperFailedError):
        asked(machine, verb="set-network", **STATIC)
    assert machine.file().name == "80-hako.network"
    assert not machine.network.is_on_trial


def test_the_name_and_the_zone_are_kept_for_the_next_start(machine: Machine) -> None:
    asked(machine, verb="set-name", name="ward-3")
    asked(machine, verb="set-zone", zone="Asia/Tokyo")
    assert kept.read(machine.root) == kept.Kept("ward-3", "Asia/Tokyo")
    renewed = ["systemctl", "--no-block", "try-restart", "hako-certificate.service"]
    assert machine.ran == [
        ["hostnamectl", "set-hostname", "ward-3"], renewed, ["timedatectl", "set-timezone", "Asia/Tokyo"],
    ]  # fmt: skip
    assert (machine.root / kept.FILE).stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("ntp", [False, True])
def test_the_clock_is_set_also_where_nothing_else_could_set_it(machine: Machine, ntp: bool) -> None:
    machine.ntp = ntp
    asked(machine, verb="set-clock", at=1_800_000_000)
    off = [["timedatectl", "set-ntp", "false"]] if ntp else []
    assert machine.ran == [*off, ["timedatectl", "set-time", "2027-01-15 08:00:00 UTC"]]


def test_a_certificate_lies_with_its_key_in_one_private_file(machine: Machine) -> None:
    key = new_key()
    chain = certificate(key, "hako.local")
    asked(machine, verb="set-certificate", certificate=chain, key=pem_of(key))
    file = machine.root / BROUGHT
    assert (file.read_text(), file.stat().st_mode & 0o777) == (chain + pem_of(key), 0o400)
    with pytest.raises(CertificateNameError):
        asked(machine, verb="set-certificate", certificate=certificate(key, "10.9.9.9"), key=pem_of(key))
    assert (file.read_text(), asked(machine, verb="machine")["brought_certificate"]) == (chain + pem_of(key), True)
    asked(machine, verb="drop-certificate")
    assert not file.exists()


def test_erasing_is_a_unit_of_its_own(machine: Machine) -> None:
    asked(machine, verb="erase")
    assert machine.ran == [["systemctl", "--no-block", "start", "hako-erase.service"]]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"verb": "set-zone", "zone": "Asia/Nowhere"}, "zone"),
        ({"verb": "set-network", "interface": "lo", "dhcp": True}, "interface"),
        ({"verb": "set-network", "interface": "br0", "dhcp": True}, "interface"),
        ({"verb": "set-network", "interface": "eth9", "dhcp": True}, "interface"),
        ({"verb": "set-zone"}, "shape"),
        ({"verb": "set-zone", "zone": "../../etc/passwd"}, "shape"),
        ({"verb": "set-zone", "zone": "/etc/passwd"}, "shape"),
        ({"verb": "set-zone", "zone": "Asia/Tokyo\n"}, "shape"),
        ({"verb": "set-clock", "at": "1800000000"}, "shape"),
        ({"verb": "set-clock", "at": 1_800_000_000.5}, "shape"),
        ({"verb": "set-clock", "at": appliance.RELEASED - 1}, "shape"),
        ({"verb": "set-clock", "at": 10**11}, "shape"),
        ({"verb": "set-name", "name": "-hako"}, "shape"),
        ({"verb": "set-name", "name": "Hako"}, "shape"),
        ({"verb": "set-name", "name": "hako.example"}, "shape"),
        ({"verb": "set-name", "name": "hako\n"}, "shape"),
        ({"verb": "set-network", "interface": "eth0", "dhcp": "yes"}, "shape"),
        ({"verb": "set-network", "interface": "eth0", "dhcp": False}, "shape"),
        ({"verb": "set-network", "interface": "eth0\n[Network]", "dhcp": True}, "shape"),
        ({"verb": "set-network", "interface": "../eth0", "dhcp": True}, "shape"),
        ({"verb": "set-network", "interface": "eth0", "dhcp": True, "address": "192.0.2.7/24"}, "shape"),
        ({"verb": "set-network", **STATIC, "address": "192.0.2.7/24\nDNS=1.1.1.1"}, "shape"),
        ({"verb": "set-network", **STATIC, "gateway": "10.1.0.1"}, "shape"),
        ({"verb": "set-network", **STATIC, "address": "0.0.0.0/0"}, "shape"),
        ({"verb": "set-network", **STATIC, "address": "127.0.0.1/8", "gateway": None}, "shape"),
        ({"verb": "set-network", **STATIC, "dns": ["192.0.2.2"] * 4}, "shape"),
        ({"verb": "keep-network"}, "shape"),
        ({"verb": "keep-network", "arrived": "somewhere"}, "shape"),
        ({"verb": "set-certificate", "certificate": "x" * 20_001, "key": ""}, "shape"),
        ({"verb": "erase", "now": True}, "shape"),
    ],
)
def test_what_the_machine_has_not_or_is_out_of_shape_is_refused(
    machine: Machine, message: dict[str, Any], reason: str
) -> None:
    with pytest.raises(HelperRefusedError) as seen:
        asked(machine, **message)
    assert (seen.value.params, machine.ran) == ({"reason": reason}, [])


def test_a_file_that_can_not_be_read_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.network").write_text("no section\n")
    link = {"Name": "eth0", "Type": "ether", "NetworkFile": "/x.network"}
    card = cards.read(json.dumps({"Interfaces": [link]}), tmp_path)[0]
    assert (card.dhcp, card.mdns, card.cable, card.addresses) == (False, False, False, ())
    assert kept.read(tmp_path) == kept.Kept()
