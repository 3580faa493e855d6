"""How long a request stood in line for its model, and at which place it began to."""

from appliance import clock
from appliance.inference.client import Waits


class Waited:
    """Handed to the queue in place of whoever wants to be told, who is told as before."""

    def __init__(self, listener: Waits | None = None) -> None:
        self._listener = listener
        self._began = clock.monotonic()
        self.place: int | None = None
        """Where it joined, the next one being 1; None for who had a place at the model at once."""
        self.seconds = 0.0
        """Until the model had a place for it, whether others or the loading took the time."""

    def told(self, stage: str, place: int, wait_s: float | None) -> None:
        """What the queue says while it goes on; see `Waits`."""
        if self.place is None:
            self.place = place
        if self._listener:
            self._listener(stage, place, wait_s)

    def end(self) -> None:
        """The model has a place now."""
        self.seconds = clock.monotonic() - self._began
