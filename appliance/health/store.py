"""What health keeps in the encrypted database: the last look of each check, findings, and a history of measures."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from appliance import clock
from appliance.health.finding import Finding
from appliance.health.seen import Seen, packed, unpacked
from appliance.storage.database import Database

Span = Literal["24h", "7d", "90d"]

DAY_S: Final = 24 * 3600
RAW_S: Final = 2 * DAY_S
"""Minutes are kept so long, hours for more than a year."""
HOURS_S: Final = 400 * DAY_S
_HOUR_S: Final = 3600
POINTS: Final[Mapping[Span, tuple[int, int]]] = {
    "24h": (DAY_S, 300),
    "7d": (7 * DAY_S, _HOUR_S),
    "90d": (90 * DAY_S, 8 * _HOUR_S),
}
"""Of each span: its seconds, and the seconds of one point, so that there are at most 300 of them."""


@dataclass(frozen=True)
class Open:
    """A finding that is there, since when, and until when its operator doesn't want to be reminded."""

    finding: Finding
    since: float
    snoozed_until: float | None


class HealthStore:
    """Safe to share between threads and processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def looks(self) -> dict[str, Seen]:
        """The last look of each check that has one; what a newer release wrote otherwise is left out."""
        with self._database.read() as connection:
            rows = connection.execute("select name, look from health_looks order by name").fetchall()
        found: dict[str, Seen] = {}
        for name, look in rows:
            try:
                found[str(name)] = unpacked(json.loads(str(look)))
            except (ValueError, KeyError, TypeError):
                continue
        return found

    def keep(self, looks: Sequence[Seen], known: Sequence[str]) -> None:
        """Store new looks, open and close their findings, note their measures. Others than `known` checks go."""
        with self._database.write() as connection:
            connection.execute(
                "delete from health_looks where name not in (select value from json_each(?))", (json.dumps(known),)
            )
            for seen in looks:
                name = seen.look.check
                connection.execute(
                    "insert or replace into health_looks (name, look, at) values (?, ?, ?)",
                    (name, json.dumps(packed(seen)), seen.at),
                )
                if seen.look.is_known or seen.look.findings:  # who can't look doesn't know that it has gone
                    keys = json.dumps([finding.key for finding in seen.look.findings])
                    connection.execute(
                        "delete from health_findings where name = ? and key not in (select value from json_each(?))",
                        (name, keys),
                    )
                for finding in seen.look.findings:
                    connection.execute(
                        "insert into health_findings (key, name, state, since) values (?, ?, ?, ?) on conflict (key)"
                        " do update set state = excluded.state,"
                        # what has become worse is told again
                        " snoozed_until = iif(state = 'warning' and excluded.state = 'error', null, snoozed_until)",
                        (finding.key, name, finding.state, seen.at),
                    )
            connection.execute(
                "delete from health_findings where name not in (select value from json_each(?))", (json.dumps(known),)
            )
        self.note({name: value for seen in looks for name, value in seen.look.measures.items()})

    def open(self) -> dict[str, str]:
        """The state of every finding by its key, also of checks that can't look at the moment."""
        with self._database.read() as connection:
            rows = connection.execute("select key, state from health_findings order by key").fetchall()
        return {str(key): str(state) for key, state in rows}

    def findings(self, looks: Mapping[str, Seen]) -> list[Open]:
        """Those of these looks, the worst and newest first."""
        with self._database.read() as connection:
            rows = connection.execute("select key, since, snoozed_until from health_findings").fetchall()
        known: dict[str, tuple[Any, ...]] = {str(row[0]): row for row in rows}
        found = []
        for seen in looks.values():
            for finding in seen.look.findings:
                _key, since, until = known.get(finding.key, (finding.key, seen.at, None))
                found.append(Open(finding, float(since), None if until is None else float(until)))
        return worst_first(found)

    def snooze(self, key: str, until: float | None) -> bool:
        """Don't remind of it until then; whether there is such a finding."""
        with self._database.write() as connection:
            connection.execute("update health_findings set snoozed_until = ? where key = ?", (until, key))
            return bool(connection.changes())

    # -- measures

    def note(self, measures: Mapping[str, float]) -> None:
        """Add a point of now to each, and thin out what is old."""
        if not measures:
            return
        now = int(clock.now())
        hour = now - now % _HOUR_S
        with self._database.write() as connection:
            connection.executemany(
                "insert or replace into health_minutes (name, at, value) values (?, ?, ?)",
                [(name, now, float(value)) for name, value in measures.items()],
            )
            last = connection.execute("select coalesce(max(at), 0) from health_hours").get
            if last < hour - _HOUR_S:
                connection.execute(
                    "insert or replace into health_hours (name, at, value) select name, at - at % 3600, avg(value)"
                    " from health_minutes where at >= ? and at < ? group by name, at - at % 3600",
                    (last + _HOUR_S if last else 0, hour),
                )
                connection.execute("delete from health_minutes where at < ?", (now - RAW_S,))
                connection.execute("delete from health_hours where at < ?", (now - HOURS_S,))

    def history(self, names: Sequence[str], span: Span) -> dict[str, list[tuple[int, float]]]:
        """Points (seconds since the epoch, mean) of each, oldest first; at most 300."""
        length, step = POINTS[span]
        now = int(clock.now())
        raw_from = now - RAW_S + _HOUR_S
        raw_from -= raw_from % _HOUR_S
        found: dict[str, list[tuple[int, float]]] = {name: [] for name in names}
        with self._database.read() as connection:
            rows = connection.execute(
                "select name, at - at % ?1 as point, avg(value) from ("
                " select name, at, value from health_hours where at < ?3"
                " union all select name, at, value from health_minutes where at >= ?3)"
                " where at > ?2 and name in (select value from json_each(?4)) group by name, point order by point",
                (step, now - length, raw_from, json.dumps(list(names))),
            ).fetchall()
        for name, point, value in rows:
            found[str(name)].append((int(str(point)), round(float(str(value)), 4)))
        return {name: points[-300:] for name, points in found.items()}

    def hours(self, since: float) -> Iterator[tuple[str, int, float]]:
        """Each measure's mean of each hour from then on: name, when the hour began (s since the epoch), value."""
        with self._database.read() as connection:
            rows = connection.execute(
                "select name, at - at % ?1 as hour, avg(value) from ("
                " select name, at, value from health_hours where at >= ?2"
                " union all select name, at, value from health_minutes"
                " where at >= max(?2, coalesce((select max(at) + ?1 from health_hours), 0))"
                ") group by name, hour order by name, hour",
                (_HOUR_S, int(since)),
            ).fetchall()
        for name, hour, value in rows:
            yield str(name), int(str(hour)), float(str(value))

    def latest(self, since: float) -> dict[str, float]:
        """The newest value of each measure that was noted after `since`."""
        with self._database.read() as connection:
            rows = connection.execute(
                "select name, value, max(at) from health_minutes where at >= ? group by name order by name",
                (int(since),),
            ).fetchall()
        return {str(name): float(str(value)) for name, value, _at in rows}


def worst_first(found: Iterable[Open]) -> list[Open]:
    """As people see them: of the same weight the newest first."""
    return sorted(found, key=lambda each: (each.finding.state != "error", -each.since, each.finding.key))
