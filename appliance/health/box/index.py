"""Whether searches find what the documents say: each passage has its entry in the index, and none waits for long."""

from typing import Final

from appliance import clock
from appliance.health.box.parts import Parts
from appliance.health.check import Group
from appliance.health.finding import Finding, Fix, Look
from appliance.knowledge import index

_LATE_S: Final = 2 * 3600.0


class IndexCheck:
    """Compares ids only."""

    name = "index"
    group: Group = "box"
    every_s = 1800.0

    def look(self, parts: Parts) -> Look:
        now = clock.now()
        with parts.database.read() as connection:
            passages = int(connection.execute("select count(*) from passages").get)
            numbers = connection.execute("select number, id from bases").fetchall()
            missing = sum(index.missing(connection, int(str(number)), str(base)) for number, base in numbers)
            waiting, oldest = connection.execute(
                "select count(*), min(updated_at) from documents where state in ('waiting', 'working')"
            ).fetchall()[0]
        figures = {"passages": passages, "missing": missing, "waiting": int(str(waiting))}
        found = []
        if missing:
            found.append(Finding("index", "incomplete", "error", "HK-HLT-041", figures, fix=Fix("do", "rebuild-index")))
        if oldest is not None and now - float(str(oldest)) > _LATE_S:
            hours = {"waiting": int(str(waiting)), "hours": round((now - float(str(oldest))) / 3600)}
            found.append(Finding("index", "late", "warning", "HK-HLT-042", hours, fix=Fix("go", "/docs")))
        value = "incomplete" if missing else "behind" if waiting else "current"
        return Look("index", value, "passages", figures, found)
