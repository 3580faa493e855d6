"""How many tokens this process passes on to people: the figure of the status page."""

import threading
from collections import deque
from typing import Final

from appliance import clock

_EVENT: Final = b"\ndata:"
_NOW_S: Final = 5.0
_KEPT_S: Final = 60.0


class Pace:
    """Engines send an event for each token, so that events are counted. Safe to share between threads."""

    def __init__(self) -> None:
        self.total = 0
        """Since the process began."""
        self._seconds: deque[tuple[int, int]] = deque()
        self._lock = threading.Lock()

    def note(self, chunk: bytes) -> int:
        """Some bytes of an event stream have been passed on; how many tokens that were."""
        tokens = count = chunk.count(_EVENT) + chunk.startswith(_EVENT[1:])
        second = int(clock.monotonic())
        with self._lock:
            self.total += count
            if self._seconds and self._seconds[-1][0] == second:
                count += self._seconds.pop()[1]
            self._seconds.append((second, count))
            while self._seconds[0][0] < second - _KEPT_S:
                self._seconds.popleft()
        return tokens

    def now(self) -> float:
        """Tokens per second over the last five."""
        return self._over(_NOW_S)

    def minute(self) -> float:
        """Tokens per second over the last minute."""
        return self._over(_KEPT_S)

    def _over(self, seconds: float) -> float:
        since = clock.monotonic() - seconds
        with self._lock:
            return round(sum(count for second, count in self._seconds if second >= since) / seconds, 1)


PACE: Final = Pace()
"""Of this process."""
