"""Swap: memory put aside on the disk. A full one says that the memory is too small for what is asked of it."""

from collections.abc import Mapping

from appliance.health.check import Group
from appliance.health.checks.memory import meminfo
from appliance.health.edge import Serious, level
from appliance.health.finding import Finding, Look
from appliance.health.host import Host


class SwapCheck:
    name = "swap"
    group: Group = "machine"
    every_s = 60.0
    codes: Mapping[str, str] = {"full": "HK-HLT-012"}

    def __init__(self) -> None:
        self._was: Serious | None = None

    def look(self, host: Host) -> Look:
        known = meminfo(host)
        total, free = known.get("SwapTotal", -1), known.get("SwapFree", -1)
        if total == 0:
            return Look(self.name, "none", "none")
        if not 0 <= free <= total:
            return Look(self.name, note="unreadable", is_known=False)
        used = 1 - free / total
        self._was = level(used, warning=0.8, error=2, was=self._was, slack=0.1)
        params = {"percent": round(used * 100)}
        findings = [Finding(self.name, "full", "warning", self.codes["full"], params)] if self._was == "warning" else []
        return Look(self.name, "used", "used", params, findings)
