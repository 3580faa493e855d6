"""Tries to leave: refused in the jail and in an empty network, and nothing is used where something could really go."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.config import REPOSITORY
from appliance.machine import leaving
from appliance.machine.leaving import WAYS, Try


def test_in_the_jail_of_readers_not_even_a_socket_can_be_made() -> None:
    assert leaving.from_child("--jail") == [Try(way, "refused", "EPERM") for way in WAYS]


def test_in_an_empty_network_there_is_no_way() -> None:
    command = ["unshare", "-rn", sys.executable, "-m", "appliance.machine.leaving"]
    told = subprocess.run(command, capture_output=True, cwd=REPOSITORY, check=True).stdout
    found = leaving.parse(told)
    assert [(each.way, each.outcome) for each in found] == [(way, "refused") for way in WAYS]
    assert {each.by for each in found} <= {"ENETUNREACH", "EADDRNOTAVAIL", "EPERM", "EAFNOSUPPORT"}


@pytest.mark.parametrize("cards", ["lo eth0", "lo wlan0 eth1", None])
def test_where_a_way_leads_out_nothing_is_used(cards: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[str] = []

    class Watched(socket.socket):
        def connect(self, _address: object) -> None:
            used.append("connect")

        def sendto(self, *_given: object) -> int:
            used.append("sendto")
            return 0

    def interfaces(_proc: Path = Path()) -> frozenset[str]:
        if cards is None:
            raise PermissionError
        return frozenset(cards.split())

    monkeypatch.setattr(leaving.socket, "socket", Watched)
    monkeypatch.setattr(leaving, "interfaces", interfaces)
    outcomes = {each.outcome for each in leaving.tries()}
    assert "kept-back" in outcomes
    assert outcomes <= {"kept-back", "refused"}  # who isn't root can't even make a socket for ICMP
    assert used == []
    monkeypatch.setattr(leaving, "interfaces", lambda: frozenset({"lo"}))
    leaving.tries()
    assert used[0] == "connect"  # so the watch above would have seen it


@pytest.mark.parametrize(
    "told",
    [b"", b"[]", b"{}", b'[{"way":"tcp","outcome":"refused","by":""}]', b'[{"way":"x","outcome":"refused","by":""}]'],
)
def test_what_a_child_says_has_to_be_whole(told: bytes) -> None:
    assert leaving.parse(told) == []


def test_a_child_that_says_nothing_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaving.sys, "executable", "/bin/true")
    assert {(each.outcome, each.by) for each in leaving.from_child()} == {("unknown", "status 0")}
    monkeypatch.setattr(leaving.sys, "executable", "/nowhere")
    assert {each.outcome for each in leaving.from_child()} == {"unknown"}
    whole = json.dumps([{"way": way, "outcome": "refused", "by": "EPERM"} for way in WAYS]).encode()
    assert len(leaving.parse(whole)) == len(WAYS)
