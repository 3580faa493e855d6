"""Memory for the next model: what is free, what is promised already, and which idle models go to make room."""

import math
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from appliance import logs
from appliance.errors import ModelTooLargeError
from appliance.inference.manifest import Manifest
from appliance.inference.runner import Runner
from appliance.machine import resources

log = logs.get(__name__)


@dataclass(eq=False)
class Promise:
    """Memory for a model that is being loaded."""

    needed: int
    pid: int | None = None
    """Of the child, which takes it little by little."""

    @property
    def untaken(self) -> int:
        return max(0, self.needed - (resources.rss(self.pid) if self.pid else 0))


class Room:
    """Thread-safe. Lets one model in after the other, so that two don't count on the same memory."""

    def __init__(self, models: Callable[[], Sequence[Runner]], last: Callable[[], Collection[str]]) -> None:
        """`last` says which models go only when no other is left."""
        self._models = models
        self._last = last
        self._lock = threading.Lock()
        self._promises: set[Promise] = set()

    @contextmanager
    def promised(self, manifest: Manifest, needed: int) -> Iterator[Promise]:
        """So many bytes for this model, until it has taken them; idle models are unloaded if need be.

        Raises:
            ModelTooLargeError: it doesn't fit, even with every model gone that could go.
        """
        with self._lock:
            self._make_room(manifest, needed)
            promise = Promise(needed)
            self._promises.add(promise)
        try:
            yield promise
        finally:
            with self._lock:
                self._promises.discard(promise)

    def _make_room(self, manifest: Manifest, needed: int) -> None:
        idle = self._idle(manifest.id)
        possible = sum(resources.rss(pid) for model in idle if (pid := model.pid))
        missing = needed - self._free()
        if missing > possible:
            raise _too_large(missing - possible)
        while missing > 0:
            if not idle:
                raise _too_large(missing)
            model = idle.pop(0)
            if model.unload_if_idle():
                log.info("model_unloaded", model=model.manifest.id, why="room", wanted_by=manifest.id)
            missing = needed - self._free()

    def _idle(self, wanted: str) -> list[Runner]:
        """Who can go, in that order: the box's own models last, else the longest unused first."""
        last = self._last()
        found = [
            (model.manifest.id in last, since, model)
            for model in self._models()
            if model.manifest.id != wanted and not model.terms.pinned and (since := model.idle_since) is not None
        ]
        return [model for _, _, model in sorted(found, key=lambda entry: entry[:2])]

    def _free(self) -> int:
        # The kernel counts mapped weights as free: it could drop them, and would read them again for each word.
        running = {model.pid for model in self._models()} | {promise.pid for promise in self._promises}
        mapped = sum(resources.mapped(pid) for pid in running if pid)
        return resources.available() - mapped - sum(promise.untaken for promise in self._promises)


def _too_large(missing: int) -> ModelTooLargeError:
    return ModelTooLargeError(f"{missing} bytes short", missing_gb=math.ceil(missing / 1e9))
