"""How long a model's places are held, and so how long a queue for them will take."""

import math
from typing import Final

_NEWEST_SHARE: Final = 0.2
"""What the last answer counts for in the average."""
_RETRY_SECONDS: Final = 10
_LONGEST_RETRY_SECONDS: Final = 60


class Pace:
    """A moving average. Not thread-safe."""

    def __init__(self) -> None:
        self._average: float | None = None

    def note(self, seconds: float) -> None:
        """A place was held for so long."""
        known = seconds if self._average is None else self._average
        self._average = known + _NEWEST_SHARE * (seconds - known)

    def wait(self, turn: int, places: int) -> float | None:
        """Seconds until that turn comes (1 is next) at so many places, all taken; None before anything is known."""
        return None if self._average is None else round(turn * self._average / places, 1)

    def retry_after(self, places: int) -> int:
        """Whole seconds until one turn will have passed."""
        seconds = self.wait(1, places)
        return _RETRY_SECONDS if seconds is None else min(_LONGEST_RETRY_SECONDS, max(1, math.ceil(seconds)))
