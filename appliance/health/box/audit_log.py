"""Whether the record of actions is as it was written."""

from appliance.health.box.parts import Parts
from appliance.health.check import Group
from appliance.health.finding import Finding, Fix, Look, Params


class AuditCheck:
    """The checkpoints, and the entries since the last of them: milliseconds. The fix looks at every entry."""

    name = "audit"
    group: Group = "trust"
    every_s = 600.0

    def look(self, parts: Parts) -> Look:
        return told(len(parts.audit.verify(whole=False).open), parts.audit.last_number())


def told(count: int, entries: int) -> Look:
    """What a look at the log has shown: findings that nobody has accepted, and the number of entries."""
    figures: Params = {"entries": entries, "count": count}
    if count:
        found = Finding("audit", "not_whole", "error", "HK-HLT-031", figures, fix=Fix("do", "verify-audit"))
        return Look("audit", "broken", "entries", figures, (found,))
    return Look("audit", "unbroken", "entries", figures)
