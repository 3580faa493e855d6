"""How old the newest backup is, and whether those by the clock are made."""

from typing import Final, Literal

from appliance import clock
from appliance.health.box.parts import Parts
from appliance.health.check import Group
from appliance.health.finding import Finding, Fix, Look

_DAY_S: Final = 24 * 3600.0
_OLD_S: Final = 7 * _DAY_S
_TOO_OLD_S: Final = 30 * _DAY_S
_PAGE: Final = Fix("go", "/operate/backup")


class BackupCheck:
    """Old is a week, or twice what the schedule says; a month is too old in any case."""

    name = "backup"
    group: Group = "box"
    every_s = 60.0

    def look(self, parts: Parts) -> Look:
        now = parts.backups()
        fix = Fix("do", "back-up") if now.folder else _PAGE
        every_h = round(now.every_s / 3600)
        if now.made_at is None:
            name, code = ("failed", "HK-HLT-047") if now.state == "failed" else ("never", "HK-HLT-045")
            found = Finding("backup", name, "error" if name == "failed" else "warning", code, fix=fix)
            return Look("backup", "never", _note(every_h), {"hours": every_h}, (found,))
        age = max(0.0, clock.now() - now.made_at)
        figures = {"days": int(age / _DAY_S), "hours": every_h, "age_h": int(age / 3600)}
        findings = []
        if now.state == "failed":
            findings.append(Finding("backup", "failed", "error", "HK-HLT-047", figures, fix=fix))
        elif age > (max(2 * now.every_s, _DAY_S) if now.every_s else _OLD_S):
            state: Literal["warning", "error"] = "error" if age > _TOO_OLD_S else "warning"
            findings.append(Finding("backup", "old", state, "HK-HLT-046", figures, fix=fix))
        value = "hours_ago" if age < 2 * _DAY_S else "days_ago"
        return Look("backup", value, _note(every_h), figures, findings, {"backup.age": age})


def _note(every_h: int) -> str:
    return "every" if every_h else "by_hand"
