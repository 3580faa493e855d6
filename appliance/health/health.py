"""How the box is, as people see it: both kinds of looks together, with findings that remember, and their history."""

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from appliance import clock, logs
from appliance.errors import BadInputError, HakoError, NotFoundError
from appliance.gateway import pace
from appliance.health import registry
from appliance.health.box.parts import Parts
from appliance.health.finding import State, worst
from appliance.health.seen import Seen
from appliance.health.store import DAY_S, HealthStore, Open, Span
from appliance.health.turns import due, looked
from appliance.storage import settings_store

log = logs.get(__name__)

TURN_S: Final = 5.0
"""How often the worker looks whether something is due or was asked for."""
LONGEST_SNOOZE_DAYS: Final = 90
_MACHINE_S: Final = 60.0
_ASKED: Final = "health.asked"
_ASK_S: Final = 2.0


@dataclass(frozen=True)
class Health:
    """All of it at one time. `findings`: the worst first."""

    state: State
    checked_at: float | None
    looks: Mapping[str, Seen]
    findings: Sequence[Open]


class HealthKeeper:
    """Safe to share between threads and processes: the worker takes the turns, web shows and asks."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.store = HealthStore(parts.database)
        self._order = registry.order(parts.plain.settings)
        self._machine_at = 0.0
        self._began: float | None = None

    # -- in the worker

    def run(self, stop: threading.Event, turned: Callable[[], None]) -> None:
        """Take turns until told to stop; `turned` hears of each look."""
        while not stop.is_set():
            turned()
            try:
                self.turn(turned)
            except HakoError as error:  # e.g. a full disk: what was seen is seen again
                log.warning("health_not_kept", code=error.code)
            stop.wait(TURN_S)

    def turn(self, turned: Callable[[], None] = lambda: None) -> None:
        """Look at what is due, and take over what the health process has seen."""
        known, now = self.store.looks(), clock.now()
        if self._began is None:
            self._began = now  # what was seen before a restart says nothing of now
        asked = float(settings_store.get(self.parts.database, _ASKED) or 0)
        since = max(asked, self._began)
        last = {name: each.at for name, each in known.items() if each.at >= since}
        fresh = self._machine(since, now)
        for check in due(registry.BOX, last, now):
            fresh.append(looked(check, lambda each: each.look(self.parts)))
            turned()
        for simple in due(registry.PLAIN, last, now):
            fresh.append(looked(simple, lambda each: each.look(self.parts.plain)))
        if fresh:
            self.store.keep(fresh, self._names(known))

    def _machine(self, since: float, now: float) -> list[Seen]:
        """What has been seen since it was taken over last, once a minute, or when somebody asked."""
        there = self.parts.machine()
        newest = max((each.at for each in there), default=0.0)
        if newest <= self._machine_at or (0 <= now - self._machine_at < _MACHINE_S and self._machine_at >= since):
            return []
        fresh = [each for each in there if each.at > self._machine_at]
        self._machine_at = newest
        return fresh

    def _names(self, known: Mapping[str, Seen]) -> list[str]:
        """Checks that count. The health process may be of a newer or older release than this one."""
        there = {each.look.check for each in self.parts.machine()}
        kept = {name for name, each in known.items() if each.group == "machine"} if not there else set()
        return [*self._order, *there, *kept]

    # -- for people

    def now(self) -> Health:
        """As it was seen last."""
        looks = self.store.looks()
        places = {name: place for place, name in enumerate(self._order)}
        ordered = dict(sorted(looks.items(), key=lambda each: places.get(each[0], len(places))))
        findings = self.store.findings(ordered)
        at = clock.now()
        told: list[State] = [each.finding.state for each in findings if not is_snoozed(each, at)]
        checked = max((each.at for each in looks.values()), default=None)
        return Health(worst(told) if looks else "unknown", checked, ordered, findings)

    def find(self, key: str) -> Open:
        """A finding that is there now. Raises NotFoundError."""
        for each in self.now().findings:
            if each.finding.key == key:
                return each
        raise NotFoundError("finding")

    def snooze(self, key: str, days: int) -> None:
        """Don't remind of a finding for so many days, or remind again for 0.

        Raises:
            BadInputError: for longer than is good.
            NotFoundError: no such finding.
        """
        if not 0 <= days <= LONGEST_SNOOZE_DAYS:
            raise BadInputError(field="days")
        self.find(key)
        if not self.store.snooze(key, clock.now() + days * DAY_S if days else None):
            raise NotFoundError("finding")

    def ask(self) -> None:
        """Have everything looked at as soon as possible; nothing waits for it."""
        settings_store.put(self.parts.database, _ASKED, clock.now())
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_ASK_S)
            connection.connect(str(self.parts.plain.settings.health_socket))

    def look(self, name: str) -> None:
        """Take one look at the box now, e.g. after a fix; nothing for checks of the machine."""
        fresh = [looked(each, lambda check: check.look(self.parts)) for each in registry.BOX if each.name == name]
        fresh += [
            looked(each, lambda check: check.look(self.parts.plain)) for each in registry.PLAIN if each.name == name
        ]
        self.store.keep(fresh, self._names(self.store.looks()))

    def history(self, names: Sequence[str], span: Span) -> dict[str, list[tuple[int, float]]]:
        """See HealthStore.history."""
        return self.store.history(names, span)

    def note_pace(self) -> None:
        """Keep how much this process has written for people in the minute before; for the process that writes."""
        self.store.note({"answers.tokens_per_s": pace.PACE.minute()})


def is_snoozed(found: Open, at: float) -> bool:
    """Whether nobody is to be reminded of it at that time."""
    return found.snoozed_until is not None and found.snoozed_until > at
