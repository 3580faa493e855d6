"""Whether the processor slowed itself down because it was too warm (counters of the kernel, Intel only)."""

from collections.abc import Mapping
from typing import Final

from appliance.health.check import Group
from appliance.health.finding import Finding, Look
from appliance.health.host import Host

_LOOKS_KEPT: Final = 15


class ThrottlingCheck:
    """Said for a quarter of an hour after the last time, so that it doesn't come and go with each look."""

    name = "throttling"
    group: Group = "machine"
    every_s = 60.0
    codes: Mapping[str, str] = {"slowed": "HK-HLT-016"}

    def __init__(self) -> None:
        self._count: int | None = None
        self._left = 0

    def look(self, host: Host) -> Look:
        counts = [
            count
            for path in host.glob("/sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/*_throttle_count")
            if (count := host.number(str(path))) is not None and count >= 0
        ]
        if not counts:
            return Look(self.name, note="none", is_known=False)
        count = sum(counts)
        has_grown = self._count is not None and count > self._count
        self._count = count
        self._left = _LOOKS_KEPT if has_grown else max(0, self._left - 1)
        findings = [Finding(self.name, "slowed", "warning", self.codes["slowed"])] if self._left else []
        return Look(self.name, "slowed" if findings else "full", "counted", {"count": count}, findings)
