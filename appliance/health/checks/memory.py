"""Memory: what can still be taken, how long programs waited for it, what broke, and what was ended for lack of it."""

import re
from collections.abc import Mapping
from typing import Final

from appliance.health.check import Group
from appliance.health.edge import Serious, level
from appliance.health.finding import Finding, Look
from appliance.health.host import Host

_GIB_KB: Final = 1 << 20
_WAITING: Final = re.compile(r"^some .*?avg300=(\d{1,3}\.\d+)", re.MULTILINE)
_KILLS: Final = re.compile(r"^oom_kill (\d{1,18})$", re.MULTILINE)


def meminfo(host: Host) -> dict[str, int]:
    """Kilobytes by name; empty when it can't be read."""
    found = re.findall(r"^(\w+):\s+(\d{1,15})(?: kB)?$", host.read("/proc/meminfo") or "", re.MULTILINE)
    return {name: int(value) for name, value in found}


class MemoryCheck:
    name = "memory"
    group: Group = "machine"
    every_s = 60.0
    codes: Mapping[str, str] = {"low": "HK-HLT-009", "killed": "HK-HLT-010", "broken": "HK-HLT-011"}

    def __init__(self) -> None:
        self._low: Serious | None = None
        self._waited: Serious | None = None
        self._kills: int | None = None
        self._killed_looks = 0

    def look(self, host: Host) -> Look:
        known = meminfo(host)
        total, free = known.get("MemTotal", 0), known.get("MemAvailable", -1)
        if not 0 <= free <= total or not total:
            return Look(self.name, note="unreadable", is_known=False)
        used = 1 - free / total
        waiting = _WAITING.search(host.read("/proc/pressure/memory") or "")
        self._low = level(used, warning=0.9, error=0.96, was=self._low, slack=0.03)
        waited = float(waiting[1]) if waiting else 0.0
        self._waited = level(waited, warning=10, error=40, was=self._waited, slack=3)
        params = {"percent": round(used * 100), "free": round(free / _GIB_KB, 1), "total": round(total / _GIB_KB, 1)}
        findings = []
        if levels := {self._low, self._waited} - {None}:
            state: Serious = "error" if "error" in levels else "warning"
            findings.append(Finding(self.name, "low", state, self.codes["low"], params))
        if killed := self._killed(host):
            findings.append(Finding(self.name, "killed", "warning", self.codes["killed"], {"count": killed}))
        if broken := known.get("HardwareCorrupted", 0):
            findings.append(Finding(self.name, "broken", "error", self.codes["broken"], {"kilobytes": broken}))
        return Look(self.name, "used", "free", params, findings, {"memory.used": used})

    def _killed(self, host: Host) -> int:
        """Programs ended since this check began to look, forgotten an hour after the last."""
        found = _KILLS.search(host.read("/proc/vmstat") or "")
        if found is None:
            return 0
        now = int(found[1])
        if self._kills is None or now < self._kills:
            self._kills = now
            self._killed_looks = 0
        if now > self._kills:
            self._killed_looks += 1
            if self._killed_looks > 60:
                self._kills, self._killed_looks = now, 0
        return now - self._kills
