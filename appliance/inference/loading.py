"""One load of a model: where it stands, how far it has come, and a way to end it before it is done."""

import threading
from pathlib import Path
from typing import Any, Final, Literal

from appliance import clock
from appliance.errors import LoadCancelledError
from appliance.inference.manifest import Manifest
from appliance.inference.spawn import Child
from appliance.machine import resources

LoadStage = Literal["checking", "starting", "reading", "trying"]
"""Its files are compared with their digests; room is made and a process begun; it reads them; it answers a test."""

_BEFORE_TRYING: Final = 0.95
"""Of the whole. What comes then takes about as long for every model, and nobody can say how long."""


class Loading:
    """Thread-safe. Told by who loads, looked at and cancelled by anybody."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._began = clock.monotonic()
        self._stage: LoadStage = "checking"
        self._checked = 0
        self._read = 0
        self._child: Child | None = None
        self._is_cancelled = False
        self._lock = threading.Lock()

    def checked(self, size: int) -> None:
        """So many more bytes of its files were compared with their digests.

        Raises:
            LoadCancelledError: nobody wants it any more; so do all others here.
        """
        self._checked += size
        self.demand_wanted()

    def enter(self, stage: LoadStage) -> None:
        """The next stage begins."""
        self.demand_wanted()
        self._stage = stage

    def started(self, child: Child) -> None:
        """Its process is there, and reads the files from now on."""
        with self._lock:
            self._child = child
        self.enter("reading")

    def demand_wanted(self) -> None:
        with self._lock:
            if self._is_cancelled:
                raise LoadCancelledError(name=self._manifest.name)

    def cancel(self) -> None:
        """End it. A child that is already there dies at once; other steps end at their next look."""
        with self._lock:
            self._is_cancelled = True
            child = self._child
        if child:
            child.kill()

    def told(self) -> dict[str, Any]:
        """`stage`, `fraction` of the whole (0-1, never less than before) and `elapsed_s`."""
        size = max(1, self._manifest.size)
        with self._lock:
            child, stage = self._child, self._stage
        if stage == "reading" and child:
            folder = Path(child.spec.folder).resolve()
            # What a runtime has copied for itself it no longer maps.
            self._read = max(self._read, min(size, resources.read_of(child.pid, folder)))
        parts = [self._read / size]
        if self._checked:  # files that were checked before aren't read for that again
            parts.append(min(1.0, self._checked / size))
        fraction = _BEFORE_TRYING * (1.0 if stage == "trying" else sum(parts) / len(parts))
        return {
            "stage": stage,
            "fraction": round(fraction, 3),
            "elapsed_s": round(clock.monotonic() - self._began, 1),
        }
