"""USB devices that were plugged in while the box runs, as the kernel lists them."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from appliance.health.check import Group
from appliance.health.checks.disk import boottime
from appliance.health.finding import Finding, Look
from appliance.health.host import Host

_ID: Final = re.compile(r"^[0-9a-f]{4}$")
_HUB: Final = "09"
_SAID_S: Final = 3600.0


class UsbCheck:
    """What is there at the first look is taken as belonging; a new one is said for an hour or until it is gone."""

    name = "usb"
    group: Group = "trust"
    every_s = 15.0
    codes: Mapping[str, str] = {"appeared": "HK-HLT-024"}

    def __init__(self, since_start: Callable[[], float] = boottime) -> None:
        self._since_start = since_start
        self._first: dict[str, float] | None = None

    def look(self, host: Host) -> Look:
        if not host.glob("/sys/bus/usb/devices"):
            return Look(self.name, note="none", is_known=False)
        now, there = self._since_start(), self._there(host)
        first = {key: float("-inf") for key in there} if self._first is None else self._first
        self._first = {key: first.get(key, now) for key in there}
        findings = [
            Finding(self.name, "appeared", "warning", self.codes["appeared"], {"device": there[key]}, key)
            for key, at in self._first.items()
            if now - at < _SAID_S
        ]
        return Look(self.name, "count", "new" if findings else "same", {"count": len(there)}, findings)

    def _there(self, host: Host) -> dict[str, str]:
        """Devices but hubs: where and what, e.g. `1-2/0781:5581`, and the maker's and product's numbers alone."""
        found = {}
        for path in host.glob("/sys/bus/usb/devices/*/idVendor"):
            folder = path.parent
            ids = [host.read(f"{folder}/{name}") or "" for name in ("idVendor", "idProduct")]
            if all(_ID.match(part) for part in ids) and host.read(f"{folder}/bDeviceClass") != _HUB:
                found[f"{folder.name}/{':'.join(ids)}"] = ":".join(ids)
        return found
