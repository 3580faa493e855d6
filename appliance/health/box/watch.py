"""Whether the computer itself is looked at: the health process writes each minute, so silence is noticed."""

from typing import Final

from appliance import clock
from appliance.health.box.parts import Parts
from appliance.health.check import Group
from appliance.health.finding import Finding, Look

_SILENT_S: Final = 300.0


class WatchCheck:
    """The age of what that process wrote."""

    name = "watch"
    group: Group = "machine"
    every_s = 60.0

    def look(self, parts: Parts) -> Look:
        path = parts.plain.settings.health_file
        try:
            age = clock.now() - path.stat().st_mtime
        except OSError:
            return Look("watch", note="never", is_known=False)
        figures = {"count": len(parts.machine()), "minutes": round(age / 60)}
        if not -_SILENT_S < age < _SILENT_S:
            return Look(
                "watch", "silent", "checks", figures, (Finding("watch", "silent", "error", "HK-HLT-059", figures),)
            )
        return Look("watch", "turning", "checks", figures)
