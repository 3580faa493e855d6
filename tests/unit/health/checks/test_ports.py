"""Listening sockets as the kernel's tables list them."""

from pathlib import Path

import pytest

from appliance.config import Settings
from appliance.health.checks.ports import PortsCheck
from tests.unit.health.checks.machines import host, is_unknown

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
V4, V6 = "00000000:0000", "00000000000000000000000000000000:0000"
MAPPED = "0000000000000000FFFF00000100007F"


def ports(root: Path, tcp: str = "", tcp6: str = "", udp: str = "") -> str | None:
    """The other ports that are named."""
    tables = {"/proc/net/tcp": HEAD + tcp, "/proc/net/tcp6": HEAD + tcp6, "/proc/net/udp": HEAD + udp}
    findings = PortsCheck(Settings(data_dir=root)).look(host(root, tables)).findings
    return str(findings[0].params["ports"]) if findings else None


@pytest.mark.parametrize(
    ("address", "state", "named"),
    [
        ("00000000:10A0", "0A", None),  # 4256, the box's own
        ("00000000:0016", "0A", "22"),
        ("0100007F:0016", "0A", None),
        ("00000000:0016", "01", None),
    ],
)
def test_tcp(tmp_path: Path, address: str, state: str, named: str | None) -> None:
    assert ports(tmp_path, tcp=f"   0: {address} {V4} {state} 00000000:00000000\n") == named


def test_the_newer_protocol_and_datagrams(tmp_path: Path) -> None:
    v6 = "".join(
        f"   {n}: {a} {V6} 0A 0:0\n"
        for n, a in enumerate(("0" * 32 + ":0277", MAPPED + ":0278", "0" * 24 + "01000000:0279"))
    )
    udp = "".join(f"  {n}: 00000000:{port} {V4} 07 0:0\n" for n, port in enumerate(("0044", "14E9")))
    assert ports(tmp_path, tcp6=v6, udp=udp) == "631, 5353"


def test_many_are_named_in_part(tmp_path: Path) -> None:
    many = "".join(f"{n}: 00000000:{n:04X} {V4} 0A 0:0\n" for n in range(1, 40))
    assert (ports(tmp_path, tcp=many) or "").endswith("19, 20 …")


def test_no_table_and_garbage_are_unknown(tmp_path: Path) -> None:
    check = PortsCheck(Settings(data_dir=tmp_path))
    assert is_unknown(check.look(host(tmp_path)))
    assert is_unknown(check.look(host(tmp_path, {"/proc/net/tcp": b"\xff\x00 0A"})))
