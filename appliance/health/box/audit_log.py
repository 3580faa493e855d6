"""Whether the record of actions is as it was written."""

from typing import Final

from appliance import clock
from appliance.health.box.parts import Parts
from appliance.health.check import Group
from appliance.health.finding import Finding, Fix, Look, Params

_WHOLE_S: Final = 24 * 3600.0


class AuditCheck:
    """The checkpoints and the entries since the last of them: milliseconds. Every entry at the first look and daily."""

    name = "audit"
    group: Group = "trust"
    every_s = 600.0

    def __init__(self) -> None:
        self._whole_at = 0.0

    def look(self, parts: Parts) -> Look:
        now = clock.now()
        # What a look at every entry has found stays found until it is accepted: the short one would not see it.
        is_whole = not 0 <= now - self._whole_at < _WHOLE_S or bool(parts.audit.report and parts.audit.report.open)
        report = parts.audit.verify(whole=is_whole)
        self._whole_at = now if is_whole else self._whole_at
        figures: Params = {"entries": parts.audit.last_number(), "count": len(report.open)}
        if not report.open:
            return Look("audit", "unbroken", "entries", figures)
        found = Finding("audit", "not_whole", "error", "HK-HLT-031", figures, fix=Fix("do", "verify-audit"))
        return Look("audit", "broken", "entries", figures, (found,))
