"""Ports on which the machine listens to others, against those that the settings name."""

import re
from collections.abc import Mapping
from typing import Final

from appliance.config import Settings
from appliance.health.check import Group
from appliance.health.finding import Finding, Look
from appliance.health.host import Host

_LINE: Final = re.compile(
    r"^ *\d+: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} ([0-9A-F]{2}) ", re.MULTILINE
)
_LOOPBACK: Final = re.compile(r"^[0-9A-F]{6}7F$|^0{24}01000000$|^0{16}FFFF0000[0-9A-F]{6}7F$")
_WAITING: Final = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}
"""The state of a socket that waits for others, by the kernel's table."""
_FOR_ADDRESSES: Final = frozenset({68, 546})
"""Where the system waits for the address that the network gives it (DHCP)."""
_MOST: Final = 20


class PortsCheck:
    """A port is open or not: no edge."""

    name = "ports"
    group: Group = "trust"
    every_s = 60.0
    codes: Mapping[str, str] = {"open": "HK-HLT-027"}

    def __init__(self, settings: Settings) -> None:
        self._allowed = frozenset(settings.web.ports.values())

    def look(self, host: Host) -> Look:
        tables = {name: host.read(f"/proc/net/{name}") for name in _WAITING}
        if not (tables["tcp"] or "").startswith("sl"):
            return Look(self.name, note="unreadable", is_known=False)
        waiting: set[int] = set()
        for name, text in tables.items():
            for address, port, state in _LINE.findall(text or ""):
                if state == _WAITING[name] and not _LOOPBACK.match(address):
                    waiting.add(int(port, 16))
        waiting -= _FOR_ADDRESSES
        others = sorted(waiting - self._allowed)
        params: dict[str, str | int | float] = {"count": len(waiting)}
        if not others:
            return Look(self.name, "good", "open", params)
        named = ", ".join(map(str, others[:_MOST])) + (" …" if len(others) > _MOST else "")
        return Look(
            self.name, "bad", "open", params,
            [Finding(self.name, "open", "warning", self.codes["open"], {"ports": named})],
        )  # fmt: skip
