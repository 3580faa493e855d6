"""How many tokens per second a model writes at this moment, as those who pass its answers on tell it."""

from collections import deque
from typing import Final

from appliance import clock

WINDOW_S: Final = 10.0
_LEAST_S: Final = 1.0
"""The first tokens of an answer come at once: over less time they would be a rate that no model has."""


class Rate:
    """Over the last ten seconds, or since writing began where that is less long ago. Not thread-safe."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self._began = 0.0

    def note(self, tokens: int) -> None:
        """So many were written since the last time."""
        now = clock.monotonic()
        self._forget(now)
        if not self._seen:
            self._began = now
        self._seen.append((now, tokens))

    def now(self) -> float:
        """Tokens per second; 0 when nothing was written in the last ten seconds."""
        now = clock.monotonic()
        self._forget(now)
        seconds = min(WINDOW_S, max(_LEAST_S, now - self._began))
        return round(sum(tokens for _at, tokens in self._seen) / seconds, 1)

    def _forget(self, now: float) -> None:
        while self._seen and self._seen[0][0] <= now - WINDOW_S:
            self._seen.popleft()
