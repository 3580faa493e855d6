"""The air gap as the kernel shows it: connections that the box's own processes opened to other machines."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final, Literal

from appliance import clock

State = Literal["closed", "open", "unknown"]

WAY_OUT: Final = Path("/etc/hako/way-out")
"""Root's word that named destinations can be reached; the units of the way out ask for it by `ConditionPathExists`.

On an imaged machine it outlives a start, as all of /etc/hako does."""
_PROC = Path("/proc")
_TABLES = ("tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6", "icmp", "icmp6")
_ALWAYS_THERE = ("tcp", "udp")
_LISTENING = "0A"
_FRESH_S = 10.0


@dataclass(frozen=True)
class Gap:
    """What was seen and when. `sent` counts calls that left through an allowed way out."""

    state: State
    sent: int
    checked_at: float


@dataclass(frozen=True)
class Row:
    """A socket in the kernel's tables. `protocol`: the table's name, such as tcp6."""

    protocol: str
    inode: str
    connects: bool
    """Whether it is of a kind that has to connect before it can send; others send to whomever they like."""
    local: IPv4Address | IPv6Address
    local_port: int
    remote: IPv4Address | IPv6Address
    remote_port: int
    listening: bool

    @property
    def is_outside(self) -> bool:
        """Connected to another machine, or free to send to one. No part of the box sends without a connection."""
        if self.connects:
            return not (self.remote.is_loopback or self.remote.is_unspecified)
        return not (self.remote.is_loopback or self.local.is_loopback)


class GapWatch:
    """Looks at most every ten seconds, and only when asked."""

    def __init__(self, root_pid: int) -> None:
        """`root_pid` is the process that all processes of the box descend from."""
        self._root_pid = root_pid
        self._last: Gap | None = None

    def look(self) -> Gap:
        """The present state; "unknown" when the kernel's tables can't be read."""
        now = clock.now()
        if self._last is None or not 0 <= now - self._last.checked_at < _FRESH_S:
            self._last = Gap(_look(family(self._root_pid)), 0, now)
        return self._last


def _look(pids: Iterable[int]) -> State:
    try:
        sockets = list(rows())
    except (OSError, ValueError, IndexError):
        return "unknown"
    inodes = {inode for pid in pids for inode in _inodes(pid)}
    own = [entry for entry in sockets if entry.inode in inodes]
    served = {entry.local_port for entry in own if entry.listening}
    opened = (entry for entry in own if entry.is_outside and not (entry.connects and entry.local_port in served))
    return "open" if any(opened) else "closed"


def family(root_pid: int) -> set[int]:
    """A process and all its descendants; every process of this account when systemd is the parent."""
    parents: dict[int, int] = {}
    own: set[int] = set()
    for folder in _PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if folder.stat().st_uid == os.geteuid():
                own.add(int(folder.name))
            parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, ValueError, IndexError):
            continue  # it ended meanwhile
    if root_pid <= 1:
        return own
    found = {root_pid}
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return found


def _inodes(pid: int) -> Iterator[str]:
    try:
        for descriptor in (_PROC / str(pid) / "fd").iterdir():
            target = str(descriptor.readlink())
            if target.startswith("socket:["):
                yield target[8:-1]
    except OSError:
        return


def rows(proc: Path = _PROC) -> Iterator[Row]:
    """Every socket of this network. Raises OSError, ValueError, IndexError where the tables can't be read."""
    for table in _TABLES:
        path = proc / "net" / table
        if table not in _ALWAYS_THERE and not path.exists():  # a kernel without it
            continue
        for line in path.read_text("ascii").splitlines()[1:]:
            fields = line.split()
            local, _, port = fields[1].rpartition(":")
            remote, _, remote_port = fields[2].rpartition(":")
            yield Row(
                protocol=table,
                inode=fields[9],
                connects=table.startswith("tcp"),
                local=_address(local),
                local_port=int(port, 16),
                remote=_address(remote),
                remote_port=int(remote_port, 16),
                listening=fields[3] == _LISTENING,
            )


def _address(digits: str) -> IPv4Address | IPv6Address:
    """The kernel writes each 32-bit word in the machine's own byte order."""
    words = [int(digits[at : at + 8], 16).to_bytes(4, "little") for at in range(0, len(digits), 8)]
    found = ip_address(b"".join(words))
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found
