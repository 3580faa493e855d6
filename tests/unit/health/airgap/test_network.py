"""What the kernel's tables and the machine's files say, read from recorded ones."""

from pathlib import Path

import pytest

from appliance.health.airgap import network

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def line(local: str, remote: str, state: str, inode: int) -> str:
    return f"   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 0 100 0 0\n"


SERVED = line("00000000:01BB", "00000000:0000", "0A", 11)
VISITOR = line("0901A8C0:01BB", "0501A8C0:D431", "01", 12)
LOOPBACK = line("0100007F:1090", "00000000:0000", "0A", 13)
OPENED = line("0901A8C0:D431", "010200C0:01BB", "01", 14)
SSH = line("00000000:0016", "00000000:0000", "0A", 15)
ROUTES = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
OWN_NET = "eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
DEFAULT = "eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"


def machine(root: Path, tcp: str = "", route: str = "", route6: str = "", **etc: str) -> Path:
    (root / "proc" / "net").mkdir(parents=True)
    (root / "etc").mkdir()
    for name, text in (("tcp", HEAD + tcp), ("udp", HEAD), ("route", ROUTES + route), ("ipv6_route", route6)):
        (root / "proc" / "net" / name).write_text(text)
    for name, text in etc.items():
        (root / "etc" / name.replace("_", ".")).write_text(text)
    return root


def test_the_agreed_port_and_who_came_to_it_are_as_they_should_be(tmp_path: Path) -> None:
    seen = network.sockets(machine(tmp_path, SERVED + VISITOR + LOOPBACK), frozenset({443}))
    assert (seen.state, seen.outside) == ("ok", ())
    assert [(each.address, each.port) for each in seen.listening] == [("0.0.0.0", 443), ("127.0.0.1", 4240)]


def test_a_connection_that_was_opened_from_here_is_an_error_that_names_its_end(tmp_path: Path) -> None:
    seen = network.sockets(machine(tmp_path, SERVED + OPENED), frozenset({443}))
    assert (seen.state, seen.about) == ("error", ("leads-out",))
    assert [(each.address, each.port) for each in seen.outside] == [("192.0.2.1", 443)]
    assert network.sockets(tmp_path, frozenset({443}), is_closed=False).state == "warning"  # maybe another program's


def test_another_port_that_waits_for_other_machines_is_told(tmp_path: Path) -> None:
    seen = network.sockets(machine(tmp_path, SERVED + SSH), frozenset({443}))
    assert (seen.state, seen.about) == ("warning", ("listens-more",))


@pytest.mark.parametrize(
    ("port", "process", "state"),
    [
        ("0044", "systemd-network", "ok"),
        ("0044", "dnsmasq", "warning"),
        ("14E9", "systemd-resolve", "ok"),
        ("14E9", "avahi-daemon", "warning"),
        ("14EA", "systemd-resolve", "warning"),
    ],
)
def test_where_the_machine_gets_its_address_and_is_asked_for_its_name_is_no_port_for_others(
    tmp_path: Path, port: str, process: str, state: str
) -> None:
    root = machine(tmp_path, SERVED)
    (root / "proc" / "net" / "udp").write_text(HEAD + line(f"0901A8C0:{port}", "00000000:0000", "07", 16))
    (root / "proc" / "7" / "fd").mkdir(parents=True)
    (root / "proc" / "7" / "fd" / "3").symlink_to("socket:[16]")
    (root / "proc" / "7" / "comm").write_text(f"{process}\n")
    assert network.sockets(root, frozenset({443})).state == state


@pytest.mark.parametrize(("tcp", "why"), [("garbage\n", "unreadable"), (None, "no-file")])
def test_tables_that_cannot_be_read_are_not_called_empty(tmp_path: Path, tcp: str | None, why: str) -> None:
    root = machine(tmp_path)
    table = root / "proc" / "net" / "tcp"
    table.unlink() if tcp is None else table.write_text(HEAD + tcp)
    assert network.sockets(root, frozenset()).model_dump(include={"state", "why"}) == {"state": "unknown", "why": why}


def test_a_default_route_is_told_and_a_cable_alone_is_not(tmp_path: Path) -> None:
    assert network.routes(machine(tmp_path / "a", route=OWN_NET)).state == "ok"
    seen = network.routes(machine(tmp_path / "b", route=OWN_NET + DEFAULT))
    assert (seen.state, seen.about) == ("warning", ("default-route",))
    assert [(each.destination, each.gateway) for each in seen.routes] == [
        ("192.168.1.0/24", "0.0.0.0"),
        ("0.0.0.0/0", "192.168.1.1"),
    ]


def test_a_default_route_of_ipv6_counts_but_one_that_rejects_does_not(tmp_path: Path) -> None:
    words = "{0} 00 {0} 00 {1} 00000400 00000002 00000000 {2} {3}\n"
    rejects = words.format("0" * 32, "0" * 32, "00200200", "lo")
    leads = words.format("0" * 32, "fd" + "0" * 29 + "1", "00000003", "eth0")
    assert network.routes(machine(tmp_path / "a", route6=rejects)).state == "ok"
    assert network.routes(machine(tmp_path / "b", route6=leads)).about == ("default-route",)


def test_resolvers_are_told_by_file_and_by_service(tmp_path: Path) -> None:
    assert network.resolvers(machine(tmp_path / "a")).state == "ok"
    named = network.resolvers(machine(tmp_path / "b", resolv_conf="# x\nnameserver 192.0.2.53\nnameserver\n"))
    assert (named.about, named.servers) == (("resolver",), ("192.0.2.53",))
    served = machine(tmp_path / "c", nsswitch_conf="hosts: files resolve dns\n")
    (served / "run/systemd/resolve").mkdir(parents=True)
    (served / "run/systemd/resolve/io.systemd.Resolve").touch()
    assert network.resolvers(served).about == ("resolver-service",)
