"""How long a request stood in line for its model, at which place it began to, and where it stands now."""

from dataclasses import dataclass

from appliance import clock
from appliance.inference.client import Waits


@dataclass(frozen=True)
class Line:
    """Where a request stands: `stage` is `queued` or `loading`, of `place` 1 is the next."""

    stage: str
    place: int
    wait_s: float | None
    """Seconds that it may still take; None while nothing is known."""


class Waited:
    """Handed to the queue in place of whoever wants to be told, who is told as before. Any thread may look at it."""

    def __init__(self, listener: Waits | None = None) -> None:
        self._listener = listener
        self._began = clock.monotonic()
        self._told: tuple[Line, float] | None = None
        """The last news, and when it came."""
        self.place: int | None = None
        """Where it joined, the next one being 1; None for who had a place at the model at once."""
        self.seconds: float | None = None
        """Until the model had a place for it, whether others or the loading took the time; None until then."""

    def told(self, stage: str, place: int, wait_s: float | None) -> None:
        """What the queue says while it goes on; see `Waits`."""
        if self.place is None:
            self.place = place
        self._told = Line(stage, place, wait_s), clock.monotonic()
        if self._listener:
            self._listener(stage, place, wait_s)

    def end(self) -> None:
        """The model has a place now."""
        self._told = None
        self.seconds = clock.monotonic() - self._began

    def now(self) -> Line | None:
        """Where it stands at this moment; None when it isn't in line, or no more."""
        told = self._told
        if told is None:
            return None
        line, at = told
        left = None if line.wait_s is None else max(0.0, line.wait_s - (clock.monotonic() - at))
        return Line(line.stage, line.place, left)
