"""What each disk says of itself (smartctl): whether it is failing, how worn it is, and errors of its medium."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from appliance.health.check import Group
from appliance.health.edge import Serious
from appliance.health.finding import Finding, Look
from appliance.health.host import Host

_DISK: Final = re.compile(r"^(sd[a-z]+|nvme\d+n\d+)$")
_WORN_PERCENT: Final = 90
_SPARE_MARGIN: Final = 10


def _of(text: str | None) -> dict[str, Any] | None:
    try:
        found = json.loads(text or "")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _part(of: dict[str, Any], name: str) -> dict[str, Any]:
    part = of.get(name)
    return part if isinstance(part, dict) else {}


def _whole(of: dict[str, Any], name: str) -> int | None:
    value = of.get(name)
    return value if type(value) is int and value >= 0 else None


class SmartCheck:
    name = "smart"
    group: Group = "machine"
    every_s = 3600.0
    codes: Mapping[str, str] = {"failing": "HK-HLT-004", "wearing": "HK-HLT-005"}

    def look(self, host: Host) -> Look:
        disks = [path.name for path in host.glob("/sys/block/*") if _DISK.match(path.name)]
        if not disks:
            return Look(self.name, note="none", is_known=False)
        findings: list[Finding] = []
        asked = 0
        for disk in disks:
            said = _of(host.run(["smartctl", "-j", "-a", f"/dev/{disk}"]))
            if said is None or not (_part(said, "smart_status") or _part(said, "nvme_smart_health_information_log")):
                continue
            asked += 1
            findings += self._judge(disk, said)
        params = {"asked": asked, "disks": len(disks)}
        if not asked:
            return Look(self.name, note="silent", params=params, is_known=False)
        is_known = asked == len(disks)
        return Look(self.name, "bad" if findings else "good", "asked", params, findings, is_known=is_known)

    def _judge(self, disk: str, said: dict[str, Any]) -> list[Finding]:
        nvme = _part(said, "nvme_smart_health_information_log")
        media = _whole(nvme, "media_errors") or 0
        table = _part(said, "ata_smart_attributes").get("table")
        for row in table if isinstance(table, list) else []:
            if isinstance(row, dict) and row.get("id") in (197, 198):  # sectors that can't be read
                media = max(media, _whole(_part(row, "raw"), "value") or 0)
        is_failing = _part(said, "smart_status").get("passed") is False or bool(_whole(nvme, "critical_warning"))
        params: dict[str, str | int | float] = {"disk": disk}
        if is_failing or media:
            state: Serious = "error" if is_failing else "warning"
            return [Finding(self.name, "failing", state, self.codes["failing"], params, disk)]
        spare, least = _whole(nvme, "available_spare"), _whole(nvme, "available_spare_threshold")
        is_worn = (_whole(nvme, "percentage_used") or 0) >= _WORN_PERCENT
        if is_worn or (spare is not None and least is not None and spare < least + _SPARE_MARGIN):
            return [Finding(self.name, "wearing", "warning", self.codes["wearing"], params, disk)]
        return []
