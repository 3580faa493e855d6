"""Looks at the machine, each check at its own pace, and writes what it saw where the processes with keys read it."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from appliance import clock
from appliance.health import seen
from appliance.health.check import MachineCheck
from appliance.health.host import Host
from appliance.health.seen import Seen
from appliance.health.turns import due, looked

TURN_S: Final = 5.0
"""How often it looks which checks are due."""
WRITE_S: Final = 60.0
"""The file is written so often at least, so that its age tells whether anybody looks."""


class MachineWatch:
    """Of one thread; `ask` from any."""

    def __init__(self, checks: Sequence[MachineCheck], host: Host, path: Path) -> None:
        self._checks, self._host, self._path = checks, host, path
        self._seen: dict[str, Seen] = {}
        self._written_at = 0.0
        self._asked = threading.Event()

    def ask(self) -> None:
        """Look at everything as soon as possible."""
        self._asked.set()

    def run(self, stop: threading.Event, turned: Callable[[], None]) -> None:
        """Until told to stop; `turned` hears of each turn."""
        while not stop.is_set():
            turned()
            self.turn(turned)
            self._asked.wait(TURN_S)

    def turn(self, turned: Callable[[], None] = lambda: None) -> None:
        """Take the looks that are due, all of them if somebody asked."""
        now, asked = clock.now(), self._asked.is_set()
        self._asked.clear()
        last = {} if asked else {name: each.at for name, each in self._seen.items()}
        wanted = due(self._checks, last, now)
        for check in wanted:
            self._seen[check.name] = looked(check, lambda each: each.look(self._host))
            turned()
        if wanted or asked or not 0 <= now - self._written_at < WRITE_S:
            self._written_at = now
            seen.write(self._path, self._seen.values())
