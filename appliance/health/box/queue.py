"""How long work waits for the worker."""

from typing import Final

from appliance import clock
from appliance.health.box.parts import Parts
from appliance.health.check import Group
from appliance.health.finding import Finding, Fix, Look

_SLOW_S: Final = 3600.0
_STUCK_S: Final = 12 * 3600.0


class QueueCheck:
    """The oldest job that nobody has begun."""

    name = "queue"
    group: Group = "box"
    every_s = 60.0

    def look(self, parts: Parts) -> Look:
        count, oldest = parts.queue.waiting()
        age = 0.0 if oldest is None else max(0.0, clock.now() - oldest)
        figures = {"count": count, "minutes": round(age / 60)}
        found = []
        if age > _STUCK_S:
            found.append(Finding("queue", "stuck", "error", "HK-HLT-044", figures, fix=Fix("go", "/docs")))
        elif age > _SLOW_S:
            found.append(Finding("queue", "slow", "warning", "HK-HLT-043", figures, fix=Fix("go", "/docs")))
        if not count:
            return Look("queue", "empty", "", figures, found, {"jobs.waiting": 0})
        return Look("queue", "waiting", "oldest", figures, found, {"jobs.waiting": count})
