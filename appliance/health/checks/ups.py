"""The uninterruptible power supply, asked through NUT: on battery, nearly empty, or with a worn battery."""

import re
from collections.abc import Mapping
from typing import Final

from appliance.health.check import Group
from appliance.health.edge import Serious
from appliance.health.finding import Finding, Look
from appliance.health.host import Host

_NAME: Final = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,60}$")
_MOST: Final = 8
_STATES: Final = frozenset({"OL", "OB"})


class UpsCheck:
    """A supply says states, not figures, so there is no edge here."""

    name = "ups"
    group: Group = "machine"
    every_s = 30.0
    codes: Mapping[str, str] = {"on_battery": "HK-HLT-023", "worn": "HK-HLT-008"}

    def look(self, host: Host) -> Look:
        listed = host.run(["upsc", "-l"])
        names = [name for line in (listed or "").splitlines() if _NAME.match(name := line.strip())][:_MOST]
        if not names:
            return Look(self.name, note="none", is_known=False)
        findings: list[Finding] = []
        silent = 0
        for name in names:
            said = frozenset((host.run(["upsc", name, "ups.status"]) or "").split())
            if not said & _STATES:
                silent += 1
                continue
            params = {"ups": name}
            if said & {"OB", "LB"}:
                state: Serious = "error" if "LB" in said else "warning"
                findings.append(Finding(self.name, "on_battery", state, self.codes["on_battery"], params, name))
            if "RB" in said:
                findings.append(Finding(self.name, "worn", "warning", self.codes["worn"], params, name))
        if silent == len(names):
            return Look(self.name, note="silent", is_known=False)
        value = "battery" if any(finding.name == "on_battery" for finding in findings) else "mains"
        return Look(self.name, value, "asked", {"count": len(names)}, findings, is_known=not silent)
