"""Tries to leave from inside a sandbox, to addresses that belong to nobody, and tells by what each try was refused.

Nothing real is ever sent. A socket is made, which sends nothing; it is used only where this process's network has no
way out, no interface but its own loopback. Elsewhere the answer is "kept back".
"""

import contextlib
import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from appliance.machine import jail

Way = Literal["tcp", "dns", "ipv6", "icmp"]
Outcome = Literal["refused", "sent", "kept-back", "unknown"]
"""sent: the kernel took it. kept-back: a socket could be made, and using it might really have sent something.
unknown: nobody could try, see `by`."""

WAYS: Final[Sequence[Way]] = get_args(Way)
NO_WAY_OUT: Final = frozenset({"lo"})
_WITHIN_S: Final = 0.3
_CHILD_S: Final = 60.0
_JAIL: Final = jail.Limits(memory_bytes=1 << 30, cpu_seconds=20)
_ECHO: Final = b"\x08\x00\xf7\xff\x00\x00\x00\x00"
_KINDS: Final[dict[Way, tuple[socket.AddressFamily, socket.SocketKind, int, tuple[str, int]]]] = {
    "tcp": (socket.AF_INET, socket.SOCK_STREAM, 0, ("192.0.2.1", 443)),
    "dns": (socket.AF_INET, socket.SOCK_DGRAM, 0, ("198.51.100.1", 53)),
    "ipv6": (socket.AF_INET6, socket.SOCK_STREAM, 0, ("2001:db8::1", 443)),
    "icmp": (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP, ("198.51.100.2", 0)),
}
"""Addresses for documentation (RFC 5737, RFC 3849): no machine has them."""


@dataclass(frozen=True)
class Try:
    """One try. `by`: the kernel's name of what refused it, such as EPERM, or why nobody could try."""

    way: Way
    outcome: Outcome
    by: str = ""


def interfaces(proc: Path = Path("/proc/self")) -> frozenset[str]:
    """The network interfaces that a process has. Raises OSError where that can't be seen."""
    lines = (proc / "net" / "dev").read_text("ascii").splitlines()[2:]
    return frozenset(line.partition(":")[0].strip() for line in lines)


def tries() -> list[Try]:
    """Each way once."""
    try:
        is_fenced = interfaces() <= NO_WAY_OUT
    except OSError:
        is_fenced = False
    return [attempt(way, is_fenced=is_fenced) for way in WAYS]


def from_child(*options: str) -> list[Try]:
    """The tries of a child of this process, which is in the same sandbox; with `--jail` shut in as a reader is."""
    command = [sys.executable, "-m", "appliance.machine.leaving", *options]
    try:
        ran = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=Path(__file__).parents[2],
            env=jail.environment(),
            timeout=_CHILD_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return [Try(way, "unknown", type(error).__name__) for way in WAYS]
    if ran.returncode == jail.NOT_JAILED:
        return [Try(way, "unknown", "not-jailed") for way in WAYS]
    return parse(ran.stdout) or [Try(way, "unknown", f"status {ran.returncode}") for way in WAYS]


def parse(told: bytes) -> list[Try]:
    """What a child has written; nothing if it isn't that."""
    try:
        found = [Try(each["way"], each["outcome"], str(each["by"])[:40]) for each in json.loads(told)]
    except (ValueError, TypeError, KeyError):
        return []
    sound = all(each.way in WAYS and each.outcome in get_args(Outcome) for each in found)
    return found if sound and len(found) == len(WAYS) else []


def attempt(way: Way, *, is_fenced: bool) -> Try:
    """One way. `is_fenced`: nothing can really leave, so a socket that could be made is used."""
    family, kind, protocol, address = _KINDS[way]
    try:
        line = socket.socket(family, kind, protocol)
    except OSError as error:
        return Try(way, "refused", _name(error))
    with line:
        if not is_fenced:
            return Try(way, "kept-back")
        line.settimeout(_WITHIN_S)
        try:
            if kind == socket.SOCK_STREAM:
                line.connect(address)
            else:
                line.sendto(_ECHO, address)
        except OSError as error:
            return Try(way, "refused", _name(error))
    return Try(way, "sent")


def _name(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "ETIMEDOUT"
    return errno.errorcode.get(error.errno or 0, "unknown")


def main(options: Sequence[str]) -> int:
    """Write the tries as JSON. `--jail`: shut in first."""
    if "--jail" in options:
        with contextlib.suppress(OSError):
            interfaces()  # whatever it loads is loaded before the door closes
        jail.enter(_JAIL)
    told = json.dumps([asdict(each) for each in tries()])
    os.write(1, told.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
