"""Whether the encrypted database is whole: SQLite reads each page, and the cipher notices what was changed."""

import apsw

from appliance.errors import StoreDamagedError, VaultDamagedError
from appliance.health.box.parts import Parts
from appliance.health.check import Group
from appliance.health.finding import Finding, Fix, Look, Params

_DAMAGED = Finding("database", "damaged", "error", "HK-HLT-030", fix=Fix("go", "/operate/backup"))


class DatabaseCheck:
    """Daily: it reads the whole file."""

    name = "database"
    group: Group = "box"
    every_s = 24 * 3600.0

    def look(self, parts: Parts) -> Look:
        size = parts.plain.settings.database.stat().st_size
        figures: Params = {"size_mb": round(size / 1e6, 1)}
        try:
            with parts.database.read() as connection:
                said = connection.execute("pragma quick_check(1)").get
        except (StoreDamagedError, VaultDamagedError, apsw.Error):
            said = ""
        if said != "ok":
            return Look("database", "damaged", "size", figures, (_DAMAGED,))
        return Look("database", "sound", "size", figures)
