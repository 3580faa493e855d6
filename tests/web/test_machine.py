"""The page of the machine: what operators see and change by the helper, what is recorded, and what Mallory gets."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from appliance.machine import erasing
from appliance.machine.own import OwnMachine
from tests.simulators.box import PASSWORD, Person, TestBox
from tests.simulators.certificates import AT, certificate, new_key, pem_of
from tests.simulators.machine import Machine
from tests.simulators.waiting import eventually

PUT = {"interface": "eth0", "dhcp": False, "address": "192.0.2.7/24", "gateway": "192.0.2.1", "dns": ["192.0.2.2"]}
CHANGES = [
    ("put", "/machine/network", PUT),
    ("put", "/machine/name", {"name": "ward-3"}),
    ("put", "/machine/zone", {"zone": "Asia/Tokyo"}),
    ("put", "/machine/clock", {"at": 1_800_000_000}),
    ("put", "/machine/certificate", {"certificate": "x", "key": "y"}),
    ("post", "/machine/certificate/own", {}),
    ("post", "/machine/restart", {}),
    ("post", "/machine/power-off", {}),
    ("post", "/machine/erase", {"name": "hako"}),
]


class Arriving:
    """The server's end of a connection that came in at this address."""

    family = socket.AF_INET

    def __init__(self, address: str) -> None:
        self._address = address

    def getsockname(self) -> tuple[str, int]:
        return self._address, 443

    def fileno(self) -> int:
        return -1


def by(address: str) -> dict[str, Any]:
    return {"environ_overrides": {"gunicorn.socket": Arriving(address)}}


@pytest.fixture
def machine(box: TestBox, tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path / "machine", now=(AT + timedelta(days=1)).timestamp)
    with made.served(box.settings.helper_socket):
        yield made


def recorded(alice: Person) -> list[str]:
    return [entry["action"] for entry in alice.get("/audit?limit=20").get_json()["items"]]


def test_without_a_helper_it_is_shown_and_can_not_be_changed(alice: Person) -> None:
    said = alice.get("/machine").get_json()
    assert (said["is_ours"], said["name"], said["trial"], said["certificate"]) == (
        False,
        socket.gethostname(),
        None,
        None,
    )
    for method, path, body in CHANGES:
        whole = {**body, "password": PASSWORD} | ({"name": said["name"]} if path == "/machine/erase" else {})
        refused = getattr(alice, method)(path, json=whole)
        assert (refused.status_code, refused.get_json()["code"]) == (409, "HK-BOX-040"), path


def test_mallory_neither_sees_nor_changes_it(machine: Machine, mallory: Person, bob: Person) -> None:
    for person in (mallory, bob):
        for method, path, body in [
            *CHANGES,
            ("post", "/machine/network/keep", {}),
            ("post", "/machine/network/drop", {}),
        ]:
            assert getattr(person, method)(path, json={**body, "password": PASSWORD}).status_code == 403, path
        assert {person.get(path).status_code for path in ("/machine", "/machine/zones")} == {403}
    assert machine.ran == []


@pytest.mark.usefixtures("alice")  # or Olga would be the last operator
@pytest.mark.parametrize(("method", "path", "body"), CHANGES, ids=[path for _, path, _ in CHANGES])
def test_every_change_wants_the_password_once_more(
    machine: Machine, box: TestBox, method: str, path: str, body: dict[str, Any]
) -> None:
    with box.second_operator("olga") as olga:
        refused = getattr(olga, method)(path, json={**body, "password": "certainly-not"})
        assert (refused.status_code, refused.get_json()["code"]) == (401, "HK-AUTH-002")
    assert (machine.ran, erasing.is_wished(box.settings.data_dir)) == ([], False)


def test_an_operator_sees_the_machine(machine: Machine, alice: Person) -> None:
    said = alice.get("/machine").get_json()
    assert (said["is_ours"], said["name"], said["zone"]) == (True, "hako", "Etc/UTC")
    assert [(card["name"], card["addresses"], card["dhcp"]) for card in said["cards"]] == [
        ("eth0", ["192.0.2.50/24"], True)
    ]
    assert "Asia/Tokyo" in alice.get("/machine/zones").get_json()["items"]


def test_a_network_is_kept_only_from_where_it_leads(machine: Machine, alice: Person, box: TestBox) -> None:
    tried = alice.put("/machine/network", json={**PUT, "password": PASSWORD})
    assert (tried.status_code, tried.get_json()["address"], tried.get_json()["trial_s"]) == (202, "192.0.2.7", 60)
    assert alice.get("/machine").get_json()["trial"]["address"] == "192.0.2.7"
    for address in ("192.0.2.50", "127.0.0.1"):
        refused = alice.post("/machine/network/keep", **by(address))
        assert (refused.status_code, refused.get_json()["code"]) == (409, "HK-BOX-029")
    assert alice.post("/machine/network/keep").get_json()["code"] == "HK-BOX-028"  # by no network
    assert alice.post("/machine/network/keep", **by("::ffff:192.0.2.7")).status_code == 204
    assert machine.file().name == "10-hako-eth0.network"
    assert recorded(alice)[:2] == ["network-kept", "network-tried"]


def test_who_comes_by_the_link_keeps_it_without_signing_in(machine: Machine, alice: Person, box: TestBox) -> None:
    word = alice.put("/machine/network", json={**PUT, "password": PASSWORD}).get_json()["word"]
    stranger = box.app.test_client()
    same = {"Sec-Fetch-Site": "same-origin"}
    assert stranger.get("/keep-network?word=guess").status_code == 409
    assert stranger.post("/keep-network?word=guess", headers=same, **by("192.0.2.7")).status_code == 409
    assert machine.network.is_on_trial
    link = f"/keep-network?word={word}"
    assert stranger.get(link).status_code == 200
    assert stranger.post(link, headers={"Sec-Fetch-Site": "cross-site"}, **by("192.0.2.7")).status_code == 403
    elsewhere = stranger.post(link, headers=same, **by("192.0.2.50"))
    assert "HK-BOX-029" in elsewhere.get_data(as_text=True)
    assert stranger.post(link, headers=same, **by("192.0.2.7")).status_code == 200
    assert machine.file().name == "10-hako-eth0.network"
    assert stranger.get(link).status_code == 409
    entry = alice.get("/audit?limit=1").get_json()["items"][0]
    assert (entry["action"], entry["actor"]) == ("network-kept", "alice")


def test_it_is_taken_back_when_asked(machine: Machine, alice: Person) -> None:
    alice.put("/machine/network", json={**PUT, "password": PASSWORD})
    again = alice.put("/machine/network", json={**PUT, "password": PASSWORD})
    assert (again.status_code, again.get_json()["code"]) == (409, "HK-BOX-028")
    assert alice.post("/machine/network/drop").status_code == 204
    assert machine.file().name == "80-hako.network"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"address": None}, "address"),
        ({"address": "192.0.2.7/24\nDNS=1.1.1.1"}, "address"),
        ({"gateway": "198.51.100.1"}, "address"),
        ({"gateway": "somewhere"}, "gateway"),
        ({"dns": ["somewhere"]}, "dns"),
        ({"interface": "../x"}, "interface"),
        ({"dhcp": True}, "address"),
    ],
)
def test_a_network_that_can_not_be_is_refused_by_field(
    machine: Machine, alice: Person, change: dict[str, Any], field: str
) -> None:
    refused = alice.put("/machine/network", json={**PUT, **change, "password": PASSWORD})
    assert (refused.status_code, refused.get_json()["params"]) == (400, {"field": field})
    assert machine.ran == []


def test_name_zone_and_clock_reach_the_machine(machine: Machine, alice: Person) -> None:
    for method, path, body in CHANGES[1:4]:
        assert getattr(alice, method)(path, json={**body, "password": PASSWORD}).status_code == 204
    said = alice.get("/machine").get_json()
    assert (said["name"], said["zone"]) == ("ward-3", "Asia/Tokyo")
    assert ["timedatectl", "set-time", "2027-01-15 08:00:00 UTC"] in machine.ran
    assert recorded(alice)[:3] == ["clock-set", "time-zone-set", "machine-renamed"]
    refused = alice.put("/machine/zone", json={"zone": "Asia/Nowhere", "password": PASSWORD})
    assert refused.get_json()["params"] == {"reason": "zone"}


def test_a_certificate_is_looked_at_before_it_is_taken(machine: Machine, alice: Person) -> None:
    key = new_key()

    def bring(chain: str, private: str) -> Any:
        return alice.put("/machine/certificate", json={"certificate": chain, "key": private, "password": PASSWORD})

    other = bring(certificate(key, "hako.local"), pem_of(new_key()))
    assert (other.status_code, other.get_json()["code"]) == (422, "HK-BOX-031")
    elsewhere = bring(certificate(key, "elsewhere.example"), pem_of(key))
    assert elsewhere.get_json()["params"] == {"names": "elsewhere.example"}
    assert bring(certificate(key, "hako.local"), pem_of(key)).status_code == 204
    assert alice.get("/machine").get_json()["brought_certificate"] is True
    assert alice.post("/machine/certificate/own", json={"password": PASSWORD}).status_code == 204
    assert alice.get("/machine").get_json()["brought_certificate"] is False


def test_restart_and_power_off_are_recorded_first(machine: Machine, alice: Person) -> None:
    for path, word in (("/machine/restart", "reboot"), ("/machine/power-off", "poweroff")):
        assert alice.post(path, json={"password": PASSWORD}).status_code == 202
        assert machine.ran[-1] == ["systemctl", "--no-block", word]
    assert recorded(alice)[:2] == ["machine-switched-off", "machine-restarted"]


@contextmanager
def no_wish_left(box: TestBox) -> Iterator[None]:
    try:
        yield
    finally:
        erasing.forget(box.settings.data_dir)


def test_erasing_wants_the_name_and_leaves_a_wish_that_outlives_a_power_cut(
    machine: Machine, alice: Person, box: TestBox
) -> None:
    with no_wish_left(box):
        wrong = alice.post("/machine/erase", json={"name": "another", "password": PASSWORD})
        assert (wrong.status_code, wrong.get_json()["code"]) == (422, "HK-BOX-035")
        machine.failing = OSError("no such unit")
        assert alice.post("/machine/erase", json={"name": "hako", "password": PASSWORD}).status_code == 502
        assert not erasing.is_wished(box.settings.data_dir)
        machine.failing = None
        assert alice.post("/machine/erase", json={"name": " Hako ", "password": PASSWORD}).status_code == 202
        assert machine.ran[-1] == ["systemctl", "--no-block", "start", "hako-erase.service"]
        assert erasing.is_wished(box.settings.data_dir)
    eventually(lambda: recorded(alice)[0] == "box-erased")


def test_the_authority_is_for_everybody_where_there_is_one(box: TestBox, tmp_path: Path) -> None:
    client = box.app.test_client()
    assert client.get("/authority.crt").status_code == 404
    own, other = certificate(new_key(), "hako"), certificate(new_key(), "other")
    (tmp_path / "box.pem").write_text(other + own)
    (tmp_path / "authority.pem").write_text(own)
    machine, box.box.machine = box.box.machine, OwnMachine(tmp_path, tmp_path / "none", tmp_path / "box.pem")
    try:
        assert client.get("/authority.crt").get_data(as_text=True) == own
        (tmp_path / "box.pem").write_text(other)  # an operator brought it: this authority has nothing to do with it
        assert client.get("/authority.crt").status_code == 404
    finally:
        box.box.machine = machine
