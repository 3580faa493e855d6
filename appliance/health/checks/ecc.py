"""Errors of memory with ECC, as the kernel counted them since the start (EDAC)."""

from collections.abc import Mapping

from appliance.health.check import Group
from appliance.health.edge import Serious
from appliance.health.finding import Finding, Look
from appliance.health.host import Host


class EccCheck:
    """Counters of the kernel only grow, so no value can sit on an edge."""

    name = "ecc"
    group: Group = "machine"
    every_s = 300.0
    codes: Mapping[str, str] = {"faults": "HK-HLT-013"}

    def look(self, host: Host) -> Look:
        mended = [host.number(str(path)) for path in host.glob("/sys/devices/system/edac/mc/mc*/ce_count")]
        lost = [host.number(str(path)) for path in host.glob("/sys/devices/system/edac/mc/mc*/ue_count")]
        counts = [*mended, *lost]
        if not counts:
            return Look(self.name, note="none", is_known=False)
        if any(count is None or count < 0 for count in counts):
            return Look(self.name, note="unreadable", is_known=False)
        params = {"mended": sum(count or 0 for count in mended), "lost": sum(count or 0 for count in lost)}
        if not any(counts):
            return Look(self.name, "good", "counted", params)
        state: Serious = "error" if params["lost"] else "warning"
        return Look(
            self.name, "bad", "counted", params, [Finding(self.name, "faults", state, self.codes["faults"], params)]
        )
