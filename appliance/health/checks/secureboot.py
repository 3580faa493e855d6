"""Whether the machine starts only what is signed (UEFI Secure Boot)."""

from collections.abc import Mapping
from typing import Final

from appliance.health.check import Group
from appliance.health.finding import Finding, Look
from appliance.health.host import Host

_VARIABLE: Final = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
_HEADER: Final = 4


class SecureBootCheck:
    """On or off: no edge."""

    name = "secureboot"
    group: Group = "trust"
    every_s = 3600.0
    codes: Mapping[str, str] = {"off": "HK-HLT-028"}

    def look(self, host: Host) -> Look:
        if not host.glob("/sys/firmware/efi"):
            return Look(self.name, note="none", is_known=False)
        said = host.read(_VARIABLE) or ""
        if len(said) != _HEADER + 1 or said[_HEADER] not in "\x00\x01":
            return Look(self.name, note="unreadable", is_known=False)
        if said[_HEADER] == "\x01":
            return Look(self.name, "on", "on")
        return Look(self.name, "off", "off", findings=[Finding(self.name, "off", "warning", self.codes["off"])])
