"""Services of the system that failed or were started again, as systemd tells it."""

import re
from collections.abc import Mapping
from typing import Final

from appliance.health.check import Group
from appliance.health.edge import Serious
from appliance.health.finding import Finding, Look
from appliance.health.host import Host

_UNIT: Final = re.compile(r"^[A-Za-z0-9@_.:\\-]{1,120}\.service$")
_COMMAND: Final = ("systemctl", "show", "*.service", "--property=Id,ActiveState,NRestarts")
_MOST: Final = 20
_OWN: Final = "hako"
_LOOKS_KEPT: Final = 30


class UnitsCheck:
    """A new start is said for half an hour after the last one."""

    name = "units"
    group: Group = "machine"
    every_s = 120.0
    codes: Mapping[str, str] = {"failed": "HK-HLT-026"}

    def __init__(self) -> None:
        self._restarts: dict[str, int] = {}
        self._left: dict[str, int] = {}

    def look(self, host: Host) -> Look:
        if not host.glob("/run/systemd/system"):
            return Look(self.name, note="none", is_known=False)
        units = [
            unit
            for block in (host.run(_COMMAND) or "").split("\n\n")
            if _UNIT.match((unit := dict(re.findall(r"^(\w+)=(.*)$", block, re.MULTILINE))).get("Id", ""))
        ]
        if not units:
            return Look(self.name, note="silent", is_known=False)
        findings: list[Finding] = []
        for unit in units:
            name = unit["Id"]
            has_failed = unit.get("ActiveState") == "failed"
            if self._was_restarted(name, unit.get("NRestarts", "")) or has_failed:
                state: Serious = "error" if has_failed and name.startswith(_OWN) else "warning"
                findings.append(Finding(self.name, "failed", state, self.codes["failed"], {"unit": name}, name))
        params = {"count": len(units), "failed": len(findings)}
        return Look(self.name, "failed" if findings else "good", "asked", params, findings[:_MOST])

    def _was_restarted(self, name: str, said: str) -> bool:
        count = int(said) if re.fullmatch(r"\d{1,9}", said) else 0
        has_grown = count > self._restarts.get(name, count)
        self._restarts[name] = count
        self._left[name] = int(_LOOKS_KEPT * 60 / self.every_s) if has_grown else max(0, self._left.get(name, 0) - 1)
        return bool(self._left[name])
