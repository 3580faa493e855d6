"""Alerts: what is new, has become worse or has gone, told to the one machine that an operator has named for it."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from appliance import __version__, clock, logs
from appliance.clock import iso
from appliance.config import Settings
from appliance.errors import HakoError, NotFoundError
from appliance.gateway import hook
from appliance.gateway.credentials import Credentials
from appliance.gateway.destinations import Destination, Destinations
from appliance.health.health import HealthKeeper
from appliance.health.store import DAY_S
from appliance.storage import audit_actions, settings_store
from appliance.storage.audit import Audit
from appliance.storage.checkpoints import box_of

log = logs.get(__name__)

Change = Literal["new", "worse", "gone"]

TURN_S: Final = 5.0
GIVE_UP_S: Final = float(DAY_S)
"""What couldn't be told for so long is dropped; changes from then on are told again."""
_FIRST_S: Final = 30.0
_LONGEST_S: Final = 3600.0
_STATE: Final = "health.alerts"
_SENT_KEPT: Final = 1000
_MOST: Final = 100
"""Changes in one message; of more only the first are listed, `count` tells how many there are."""
_BOX_CHARS: Final = 16
_TAKEN_KEPT: Final = 3

Told = dict[str, tuple[str, str]]
"""State and code by key of a finding."""


@dataclass
class State:
    """What is kept in the database. Times in seconds since the epoch."""

    destination: str = ""
    told: Told = field(default_factory=dict)
    tries: int = 0
    failing_since: float | None = None
    next_at: float = 0.0
    last_at: float | None = None
    last_result: str = ""
    taken_at: float | None = None
    taken: list[dict[str, str]] = field(default_factory=list)
    """The changes that the receiver has taken last, as they were listed; of more than that only `taken_count` tells."""
    taken_count: int = 0
    failed_at: float | None = None
    failed: str = ""
    """The code of what stood in the way last, also once it is through."""
    sent: list[float] = field(default_factory=list)


class Alerts:
    """Of the worker, which sends them; web tries the way and shows how it went. Off until a destination is named."""

    def __init__(self, settings: Settings, keeper: HealthKeeper, audit: Audit, secrets: Credentials) -> None:
        self._settings, self._keeper, self._audit, self._secrets = settings, keeper, audit, secrets
        self._destinations = Destinations(settings.destinations)
        self._database = keeper.parts.database

    def run(self, stop: threading.Event, turned: Callable[[], None]) -> None:
        """Take turns until told to stop, in a thread of its own: nothing else waits for a receiver."""
        while not stop.is_set():
            turned()
            try:
                self.turn()
            except HakoError as error:  # e.g. a full disk
                log.warning("alerts_not_kept", code=error.code)
            stop.wait(TURN_S)

    def turn(self, at: float | None = None) -> None:
        """Tell what has changed since the receiver was told last, if anything, and if it is time to try.

        `at`: the time, instead of now.
        """
        state = self.state()
        destination = self.destination()
        if destination is None:
            if state.destination:
                settings_store.delete(self._database, _STATE)
            return
        if state.destination != _place(destination):
            self.begin(destination)
            return
        now, found = clock.now() if at is None else at, self._found(state.told)
        changes = changed(state.told, found)
        if not changes:
            if state.told != found or state.tries:
                state.told, state.tries, state.failing_since = found, 0, None
                self._keep(state)
            return
        if 0 <= state.next_at - now < 2 * _LONGEST_S and now < state.next_at:
            return
        self._try(destination, state, changes, found, now)

    def begin(self, destination: Destination) -> None:
        """Tell this one what changes from here on: what was there before is on the page already."""
        self._keep(State(_place(destination), self._found({})))

    def test(self, name: str, who: str) -> None:
        """Send a message that says it is a test. Raises NotFoundError, and what stands in the way."""
        destination = self.destination()
        if destination is None or destination.name != name:
            raise NotFoundError("destination")
        if (remote := self._keeper.parts.gateway.remote) is not None:
            remote.sent += 1
        self._send(destination, self._message({}, {}, is_test=True), who)

    def destination(self) -> Destination | None:
        """The one for alerts, if there is any."""
        return next((each for each in self._destinations.all().values() if each.kind == "alerts"), None)

    def state(self) -> State:
        """How far it is; an empty one before the first turn."""
        stored = settings_store.get(self._database, _STATE)
        if not isinstance(stored, dict):
            return State()
        told = {key: (str(state), str(code)) for key, (state, code) in stored["told"].items()}
        return State(**{**stored, "told": told})

    def sent_since(self, began: float) -> int:
        """How many were sent by the worker since then."""
        if self.destination() is None:
            return 0
        return sum(at >= began for at in self.state().sent)

    def _try(
        self, destination: Destination, state: State, changes: Mapping[str, Change], found: Told, now: float
    ) -> None:
        state.sent = [*state.sent, now][-_SENT_KEPT:]
        message = self._message(changes, {**state.told, **found})
        try:
            self._send(destination, message, "box")
        except HakoError as error:
            state.last_at, state.last_result = now, error.code
            state.failed_at, state.failed = now, error.code
            state.tries += 1
            state.failing_since = now if state.failing_since is None else state.failing_since
            state.next_at = now + min(_FIRST_S * 2 ** (state.tries - 1), _LONGEST_S)
            if now - state.failing_since > GIVE_UP_S:
                log.warning("alerts_given_up", code=error.code, count=len(changes))
                state.told, state.tries, state.failing_since = found, 0, None
        else:
            state.last_at, state.last_result = now, audit_actions.DONE
            state.taken_at, state.taken, state.taken_count = now, message["changes"][:_TAKEN_KEPT], len(changes)
            state.told, state.tries, state.failing_since, state.next_at = found, 0, None, 0.0
        self._keep(state)

    def _send(self, destination: Destination, message: Mapping[str, Any], who: str) -> None:
        """Recorded before it leaves, and what came of it."""
        size, name = len(hook.packed(message)), destination.name
        self._audit.record(who, "alert-sent", name, sent_bytes=size, changes=message["count"])
        result = "HK-BOX-001"
        try:
            hook.post(self._settings.egress_socket, destination, message, self._secrets.key(name))
            result = audit_actions.DONE
        except HakoError as error:
            result = error.code
            raise
        finally:
            self._audit.record(who, "alert-answered", name, result=result)

    def _message(self, changes: Mapping[str, Change], about: Told, *, is_test: bool = False) -> dict[str, Any]:
        """No names: what a finding is about stays here, its check, its name and its code go."""
        listed = [
            {"change": change, "check": key.split("/")[0], "name": key.split("/")[1], "state": about[key][0],
             "code": about[key][1]}
            for key, change in list(changes.items())[:_MOST]
        ]  # fmt: skip
        lines = [
            f"{each['change']}: {each['code']} {each['check']}.{each['name']} ({each['state']})" for each in listed
        ]
        box, now = box_of(self._audit.public_key)[:_BOX_CHARS], self._keeper.now().state
        return {
            "format": "hako-alert 1",
            "id": clock.new_id("alert"),
            "at": iso(clock.now()),
            "box": box,
            "version": __version__,
            "state": now,
            "test": is_test,
            "count": len(changes),
            "changes": listed,
            "text": "\n".join([f"Hako {box}: {'test' if is_test else now}", *lines]),
        }

    def _found(self, told: Told) -> Told:
        """What is open now. A check that couldn't look has neither found nor lost anything."""
        codes = {each.finding.key: each.finding.code for each in self._keeper.now().findings}
        return {
            key: (state, codes.get(key) or told.get(key, ("", ""))[1])
            for key, state in self._keeper.store.open().items()
        }

    def _keep(self, state: State) -> None:
        settings_store.put(self._database, _STATE, asdict(state))


def _place(destination: Destination) -> str:
    return f"{destination.name} {destination.url} {destination.address}"


def changed(told: Told, found: Told) -> dict[str, Change]:
    """What somebody should hear of, by key; what has become better without being gone isn't news."""
    changes: dict[str, Change] = {}
    for key, (state, _code) in sorted(found.items()):
        if key not in told:
            changes[key] = "new"
        elif (told[key][0], state) == ("warning", "error"):
            changes[key] = "worse"
    return changes | {key: "gone" for key in sorted(told) if key not in found}
