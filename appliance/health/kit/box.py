"""What the open box adds to a support kit: sizes, history, findings, the air gap; figures and the box's own words."""

import csv
import io
import re
from collections.abc import Mapping
from typing import Any, Final

from appliance import clock
from appliance.clock import iso
from appliance.config import Settings
from appliance.health.airgap.report import Report
from appliance.health.health import Health
from appliance.health.kit import redact
from appliance.health.kit.redact import Json
from appliance.health.seen import Seen
from appliance.health.store import DAY_S, HealthStore
from appliance.inference.catalog import Catalog
from appliance.storage import migrations
from appliance.storage.database import Database

HISTORY_DAYS: Final = 90
_MEASURE: Final = re.compile(r"[a-z0-9_.:-]{1,80}")
_TABLE: Final = re.compile(r"[a-z0-9_]{1,60}", re.IGNORECASE)

_TOLD: Final[Mapping[str, tuple[str, ...]]] = {
    "firewall": ("digest", "loaded", "counters"),
    "sockets": ("listening",),
    "destinations": ("sent",),
    "units": ("units",),
    "processes": ("processes",),
    "browser": ("policy",),
    "test": ("at", "places"),
    "software": ("version", "release", "release_digest", "publisher", "digest", "packages", "changed"),
    "record": ("sound", "entries", "serial", "number", "checkpoint", "at"),
    "clock": ("now", "zone", "synchronised", "released"),
}
"""Of each part of the air-gap report what leaves, beside its state; of routes, resolvers, connections and named
destinations only their number, since they hold addresses and names."""
_COUNTED: Final = {"sockets": "outside", "routes": "routes", "resolvers": "servers", "destinations": "named"}


def checks(looks: Mapping[str, Seen]) -> list[Json]:
    """Every look, as it was made last."""
    return [
        {
            "check": name,
            "group": seen.group,
            "state": seen.look.state,
            "known": seen.look.is_known,
            "value": seen.look.value,
            "note": seen.look.note,
            "params": redact.figures(seen.look.params),
            "measures": dict(sorted(seen.look.measures.items())),
            "at": iso(seen.at),
            "findings": [redact.finding(found) for found in seen.look.findings],
        }
        for name, seen in looks.items()
    ]


def findings(health: Health) -> list[Json]:
    """What is open, with its times."""
    return [
        {
            **redact.finding(found.finding),
            "since": iso(found.since),
            "snoozed_until": None if found.snoozed_until is None else iso(found.snoozed_until),
        }
        for found in health.findings
    ]


def history(store: HealthStore) -> str:
    """Means of each hour, as CSV: measure, time, value."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("measure", "hour", "mean"))
    for name, at, value in store.hours(clock.now() - HISTORY_DAYS * DAY_S):
        if _MEASURE.fullmatch(name):
            rows.writerow((name, iso(at), f"{value:.6g}"))
    return text.getvalue()


def database(found: Database, settings: Settings) -> Json:
    """How large the file and its tables are, and how far its schema is. Reads the whole file."""
    with found.read() as connection:
        level = migrations.version(connection)
        sizes = connection.execute(
            "select coalesce(m.tbl_name, d.name), sum(d.pgsize) from dbstat d left join sqlite_schema m"
            " on m.name = d.name group by 1 order by 1"
        ).fetchall()
    return {
        "cipher": found.cipher,
        "bytes": settings.database.stat().st_size,
        "migration_level": level,
        "migrations_known": len(migrations.STEPS),
        "tables": {str(name): int(str(size)) for name, size in sizes if _TABLE.fullmatch(str(name))},
    }


def models(settings: Settings) -> list[Json]:
    """What is installed, with the digest of each file."""
    return [
        {
            "id": each.id,
            "engine": each.engine,
            "kind": each.kind,
            "files": [{"bytes": file.size, "sha256": file.sha256} for _name, file in sorted(each.files.items())],
        }
        for each in Catalog(settings.models).all().values()
    ]


def airgap(report: Report) -> Json:
    """The report without the name of the box, addresses of others and names of destinations."""
    told: Json = {"box": report.box, "version": report.version, "at": iso(report.at), "verdict": report.verdict}
    for name, part in report.parts():
        whole: dict[str, Any] = part.model_dump(mode="json")
        told[name] = redact.known(whole, "state", "why", "about", *_TOLD.get(name, ()))
        if counted := _COUNTED.get(name):
            told[name][f"{counted}_count"] = len(whole[counted])
    return told
