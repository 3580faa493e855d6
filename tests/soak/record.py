"""What the visitors of a soak note down: how long things took, how often, and what went wrong."""

import threading
import time
from collections import Counter, defaultdict

from tests.soak.judge import Trouble


class Record:
    """Shared by all threads of a soak."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self.timings: defaultdict[str, list[float]] = defaultdict(list)
        self.done: Counter[str] = Counter()
        self.troubles: list[Trouble] = []

    @property
    def at_s(self) -> float:
        """Seconds since the load began."""
        return time.monotonic() - self._began

    def took(self, what: str, seconds: float) -> None:
        with self._lock:
            self.timings[what].append(seconds)

    def count(self, what: str) -> None:
        with self._lock:
            self.done[what] += 1

    def trouble(self, what: str) -> None:
        """Something that fails the run; told at once, since somebody may be looking on."""
        with self._lock:
            self.troubles.append(Trouble(round(self.at_s, 1), what))
            print(f"   ! {self.at_s:6.0f} s  {what}", flush=True)
