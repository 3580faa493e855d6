"""How often a model's process has crashed of late, and so when it may be started again."""

import math
from collections import deque
from typing import Final

from appliance import clock

CRASHES: Final = 3
CRASH_WINDOW_SECONDS: Final = 300.0


class Crashes:
    """Not thread-safe."""

    def __init__(self, backoff_seconds: float) -> None:
        self._backoff = backoff_seconds
        self._at: deque[float] = deque(maxlen=CRASHES)
        self._not_before = 0.0

    @property
    def is_quarantined(self) -> bool:
        """Too many in too short a time: it is not started again by itself."""
        return len(self._at) == CRASHES and self._at[-1] - self._at[0] < CRASH_WINDOW_SECONDS

    @property
    def wait_s(self) -> float:
        """Seconds until it may be started again."""
        return max(0.0, self._not_before - clock.monotonic())

    def note(self) -> None:
        """One more. The first restart is immediate, so that one crash costs one answer; then 1, 2, 4 … seconds."""
        now = clock.monotonic()
        self._at.append(now)
        recent = sum(1 for at in self._at if now - at < CRASH_WINDOW_SECONDS)
        self._not_before = now + (self._backoff * math.pow(2, recent - 2) if recent > 1 else 0.0)

    def forget(self) -> None:
        """An operator wants it started now."""
        self._at.clear()
        self._not_before = 0.0
