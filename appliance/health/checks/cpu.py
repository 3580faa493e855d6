"""How busy the processor is, and whether it knows the instructions for which the engines have fast code."""

import re
from collections.abc import Mapping
from typing import Final

from appliance.health.check import Group
from appliance.health.finding import Finding, Look
from appliance.health.host import Host
from appliance.machine.cpu import kind_of

_WANTED: Final = (frozenset({"avx2", "fma", "f16c"}), frozenset({"asimddp"}))
"""For x86 and for ARM."""
_BUSY: Final = re.compile(r"^cpu +((?:\d{1,18} ?){5,10})$", re.MULTILINE)


class CpuCheck:
    """A processor's instructions don't change, so there is no edge."""

    name = "cpu"
    group: Group = "machine"
    every_s = 60.0
    codes: Mapping[str, str] = {"lacking": "HK-HLT-017"}

    def __init__(self) -> None:
        self._ticks: tuple[int, int] | None = None

    def look(self, host: Host) -> Look:
        lines = (host.read("/proc/cpuinfo") or "").splitlines()
        if not any(line.startswith(("flags", "Features")) for line in lines):
            return Look(self.name, note="unreadable", is_known=False)
        there = frozenset(kind_of(lines).split())
        is_arm = any(line.startswith("Features") for line in lines)
        missing = " ".join(sorted(_WANTED[is_arm] - there))
        params: dict[str, str | int | float] = {"cores": sum(line.startswith("processor") for line in lines)}
        findings = []
        if missing:
            findings.append(Finding(self.name, "lacking", "warning", self.codes["lacking"], {"flags": missing}))
        used = self._used(host)
        if used is None:
            return Look(self.name, "cores", "lacking" if missing else "fast", params, findings)
        params["percent"] = round(used * 100)
        return Look(self.name, "used", "lacking" if missing else "fast", params, findings, {"cpu.used": used})

    def _used(self, host: Host) -> float | None:
        """Share of the time since the last look, 0–1; None at the first."""
        found = _BUSY.search(host.read("/proc/stat") or "")
        if found is None:
            return None
        ticks = [int(part) for part in found[1].split()][:8]  # guests are counted within user
        idle, total = ticks[3] + ticks[4], sum(ticks)
        before, self._ticks = self._ticks, (idle, total)
        if before is None or total <= before[1]:
            return None
        return min(1.0, max(0.0, 1 - (idle - before[0]) / (total - before[1])))
