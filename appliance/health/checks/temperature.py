"""How warm the sensors of the machine are, each against its own limit, and fans that stopped (hwmon)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from appliance.health.check import Group
from appliance.health.edge import Serious, level
from appliance.health.finding import Finding, Look
from appliance.health.host import Host

_USUAL_LIMIT: Final = 100.0
_WARM: Final = 60.0
"""Below it a fan may rest."""
_OF_CPU: Final = ("coretemp", "k10temp", "zenpower", "cpu_thermal")


class TemperatureCheck:
    name = "temperature"
    group: Group = "machine"
    every_s = 60.0
    codes: Mapping[str, str] = {"hot": "HK-HLT-014", "fan": "HK-HLT-015"}

    def __init__(self) -> None:
        self._was: dict[str, Serious | None] = {}
        self._turned: set[str] = set()

    def look(self, host: Host) -> Look:
        read = {
            path: value / 1000
            for path in host.glob("/sys/class/hwmon/hwmon*/temp*_input")
            if (value := host.number(str(path))) is not None and -40_000 < value < 150_000  # else it isn't connected
        }
        if not read:
            return Look(self.name, note="none", is_known=False)
        findings: list[Finding] = []
        for path, celsius in read.items():
            key = f"{path.parent.name}-{path.name.removesuffix('_input')}"
            limit = self._limit(host, path)
            self._was[key] = state = level(celsius, warning=limit - 10, error=limit, was=self._was.get(key), slack=3)
            if state:
                params = {"celsius": round(celsius), "limit": round(limit)}
                findings.append(Finding(self.name, "hot", state, self.codes["hot"], params, key))
        hottest = max(read.values())
        findings += self._stopped(host, is_warm=hottest >= _WARM)
        of_cpu = [value for path, value in read.items() if host.read(f"{path.parent}/name") in _OF_CPU]
        measures = {"temperature.cpu": max(of_cpu)} if of_cpu else {}
        params = {"celsius": round(hottest), "sensors": len(read)}
        return Look(self.name, "celsius", "sensors", params, findings, measures)

    def _limit(self, host: Host, sensor: Path) -> float:
        found = host.number(str(sensor).removesuffix("_input") + "_crit")
        return found / 1000 if found is not None and 40_000 <= found <= 150_000 else _USUAL_LIMIT

    def _stopped(self, host: Host, *, is_warm: bool) -> list[Finding]:
        """Fans that turned before and don't while it is warm; a socket without a fan always says 0."""
        found = []
        for path in host.glob("/sys/class/hwmon/hwmon*/fan*_input"):
            turns, key = host.number(str(path)), f"{path.parent.name}-{path.name.removesuffix('_input')}"
            if turns is not None and turns > 0:
                self._turned.add(key)
            elif turns == 0 and is_warm and key in self._turned:
                found.append(Finding(self.name, "fan", "error", self.codes["fan"], {"fan": key}, key))
        return found
