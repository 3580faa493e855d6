"""Listening sockets, connections that lead out, routes and resolvers, as the kernel and the files of /etc have them."""

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final

from appliance.health.airgap.facts import Listening, Outside, Resolvers, Route, Routes, Sockets, State, reason
from appliance.machine.gap import Row, rows

_DEFAULTS: Final = frozenset({"0.0.0.0/0", "::/0"})
_UP: Final = 0x1
_REJECT: Final = 0x0200
_RESOLVED: Final = Path("run/systemd/resolve/io.systemd.Resolve")
_OWN: Final = frozenset(
    {("udp", 68, "systemd-network"), ("udp6", 546, "systemd-network")}
    | {(protocol, 5353, "systemd-resolve") for protocol in ("udp", "udp6")}
)
"""Where the machine's own address is waited for, if a network gives it, and where it answers who looks for its name
(mDNS). The kernel cuts names after 15 letters."""
_SWITCH: Final = re.compile(r"^hosts:(.*)$", re.MULTILINE)


def sockets(root: Path, ports: frozenset[int], *, is_closed: bool = True) -> Sockets:
    """What listens and what leads out. `ports`: those that people are meant to reach the box at.

    `is_closed`: the machine is the box's alone; else connections may be those of other programs.
    """
    try:
        seen = list(rows(root / "proc"))
    except (OSError, ValueError, IndexError) as error:
        return Sockets(state="unknown", why=reason(error) if isinstance(error, OSError) else "unreadable")
    names = _processes(root / "proc")
    waiting = [row for row in seen if row.listening or not row.connects]
    served = {(row.protocol.removesuffix("6"), row.local_port) for row in waiting}
    listening = sorted(
        {
            Listening(
                protocol=row.protocol,
                address=str(row.local),
                port=row.local_port,
                process=names.get(row.inode, ""),
            )
            for row in waiting
        },
        key=lambda each: (each.port, each.protocol, each.address),
    )
    outside = [_outside(row, names) for row in seen if _leads_out(row, served)]
    strange = [each for each in listening if not _is_expected(each, ports)]
    about = (*(("leads-out",) if outside else ()), *(("listens-more",) if strange else ()))
    state: State = "error" if outside and is_closed else "warning" if about else "ok"
    return Sockets(state=state, about=about, listening=tuple(listening), outside=tuple(outside))


def _is_expected(each: Listening, ports: frozenset[int]) -> bool:
    if (each.protocol, each.port, each.process) in _OWN:
        return True
    return ip_address(each.address).is_loopback or (each.protocol.startswith("tcp") and each.port in ports)


def _leads_out(row: Row, served: set[tuple[str, int]]) -> bool:
    """It has another machine at its end, and that one didn't come to a port that is served here."""
    if row.listening or row.remote.is_loopback or row.remote.is_unspecified:
        return False
    return not row.connects or (row.protocol.removesuffix("6"), row.local_port) not in served


def _outside(row: Row, names: Mapping[str, str]) -> Outside:
    name = names.get(row.inode, "")
    return Outside(protocol=row.protocol, address=str(row.remote), port=row.remote_port, process=name)


def _processes(proc: Path) -> dict[str, str]:
    """Names of the processes that hold sockets, by the sockets' inodes, as far as they can be seen."""
    found: dict[str, str] = {}
    for folder in proc.iterdir():
        if folder.name.isdigit():
            for inode in _inodes(folder):
                found.setdefault(inode, _name(folder))
    return found


def _inodes(process: Path) -> Iterator[str]:
    try:
        for descriptor in (process / "fd").iterdir():
            target = str(descriptor.readlink())
            if target.startswith("socket:["):
                yield target[8:-1]
    except OSError:
        return


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text("utf-8", "replace").strip()[:40]
    except OSError:
        return ""


def routes(root: Path) -> Routes:
    """Where packets would go; a default route leads to every machine that there is."""
    proc = root / "proc" / "net"
    try:
        found = [*_routes4((proc / "route").read_text("ascii")), *_routes6(proc / "ipv6_route")]
    except (OSError, ValueError, IndexError) as error:
        return Routes(state="unknown", why=reason(error) if isinstance(error, OSError) else "unreadable")
    has_default = any(route.destination in _DEFAULTS for route in found)
    about = ("default-route",) if has_default else ()
    return Routes(state="warning" if has_default else "ok", about=about, routes=tuple(found))


def _routes4(text: str) -> Iterator[Route]:
    for line in text.splitlines()[1:]:
        name, destination, gateway, flags, *_, mask = line.split()[:8]
        if int(flags, 16) & _UP and not int(flags, 16) & _REJECT:
            length = int(mask, 16).bit_count()
            yield Route(destination=f"{_word(destination)}/{length}", gateway=str(_word(gateway)), interface=name)


def _word(digits: str) -> IPv4Address:
    return IPv4Address(int(digits, 16).to_bytes(4, "little"))


def _routes6(path: Path) -> Iterator[Route]:
    if not path.exists():  # a kernel without it
        return
    for line in path.read_text("ascii").splitlines():
        fields = line.split()
        is_local = fields[9] == "lo" or fields[0].startswith("ff")
        if not is_local and int(fields[8], 16) & _UP and not int(fields[8], 16) & _REJECT:
            destination = f"{IPv6Address(int(fields[0], 16))}/{int(fields[1], 16)}"
            yield Route(destination=destination, gateway=str(IPv6Address(int(fields[4], 16))), interface=fields[9])


def resolvers(root: Path) -> Resolvers:
    """Who would be asked for the address of a name. The box itself looks up none."""
    try:
        text = (root / "etc" / "resolv.conf").read_text("utf-8", "replace")
    except FileNotFoundError:
        text = ""
    except OSError as error:
        return Resolvers(state="unknown", why=reason(error))
    servers = tuple(line.split()[1] for line in text.splitlines() if line.startswith("nameserver") and line.split()[1:])
    by_service = (root / _RESOLVED).exists() and "resolve" in _switch(root)
    about = (*(("resolver",) if servers else ()), *(("resolver-service",) if by_service else ()))
    return Resolvers(state="warning" if about else "ok", about=about, servers=servers, by_service=by_service)


def _switch(root: Path) -> list[str]:
    """Who is asked for names, by nsswitch.conf."""
    try:
        found = _SWITCH.search((root / "etc" / "nsswitch.conf").read_text("utf-8", "replace"))
    except OSError:
        return []
    return found.group(1).split() if found else []
