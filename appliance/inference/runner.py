"""One model's life: load on demand, a first-come queue for its places, restart after a crash, quarantine."""

import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from appliance import clock, logs
from appliance.errors import BusyError, CancelledError, HakoError, ModelFailedError, ModelQuarantinedError
from appliance.inference.manifest import Manifest
from appliance.inference.spawn import Child
from appliance.machine import resources

log = logs.get(__name__)

State = Literal["idle", "loading", "loaded", "failed", "quarantined"]
Stage = Literal["queued", "loading"]
Waiting = Callable[[Stage, int], bool]
"""Told the stage and the place in the queue while somebody waits; False when nobody waits any more."""

CRASHES = 3
CRASH_WINDOW_SECONDS = 300.0
_LONGEST_QUEUE = 64
_LOOK_SECONDS = 0.25
_DRAIN_SECONDS = 20.0


@dataclass(frozen=True, eq=False)
class Grant:
    """One place at a running child."""

    child: Child


class Runner:
    """Thread-safe. `launch` verifies, estimates and starts; it blocks until the child is ready or raises."""

    def __init__(
        self,
        manifest: Manifest,
        places: int,
        memory_limit: int,
        launch: Callable[[Manifest, Callable[[Child], None]], Child],
        backoff_seconds: float = 1.0,
    ) -> None:
        self.manifest = manifest
        self._places = places
        self._memory_limit = memory_limit
        self._launch = launch
        self._backoff = backoff_seconds
        self._change = threading.Condition()
        self._queue: deque[object] = deque()
        self._grants: set[Grant] = set()
        self._child: Child | None = None
        self._loading = False
        self._draining = False
        self._keep = False
        self._stopped = False
        self._error: HakoError | None = None
        self._failures = 0
        self._crashes: deque[float] = deque(maxlen=CRASHES)
        self._not_before = 0.0

    def lease(self, waiting: Waiting) -> Grant:
        """Wait for a place, loading the model if need be.

        Raises:
            BusyError: the queue is full.
            ModelQuarantinedError: crashed too often.
            CancelledError: `waiting` said that nobody waits any more.
            HakoError: why the model could not be loaded.
        """
        ticket = object()
        with self._change:
            if len(self._queue) >= _LONGEST_QUEUE:
                raise BusyError("queue full", retry_after_s=10)
            self._queue.append(ticket)
            seen = self._failures
        try:
            while True:
                with self._change:
                    grant = self._try_grant(ticket, seen)
                if grant and grant.child.answers():
                    return grant
                with self._change:
                    if grant:
                        self._take_back(grant, ticket)
                    stage: Stage = "loading" if self._child is None else "queued"
                    place = self._queue.index(ticket) + 1
                if not waiting(stage, place):
                    raise CancelledError("left the queue")
                with self._change:
                    if not self._could_grant(ticket):
                        self._change.wait(_LOOK_SECONDS)
        finally:
            with self._change:
                if ticket in self._queue:
                    self._queue.remove(ticket)
                self._change.notify_all()

    def release(self, grant: Grant) -> None:
        """Give the place back; harmless after the child has gone."""
        with self._change:
            self._grants.discard(grant)
            self._change.notify_all()

    def load(self, waiting: Waiting) -> None:
        """Load and keep loaded: lifts a quarantine, restarts after crashes."""
        with self._change:
            self._keep = True
            self._crashes.clear()
            self._not_before = 0.0
            if self._child is None:
                self._error = None
        self.release(self.lease(waiting))

    def unload(self) -> None:
        """Let running answers end, then stop the child."""
        deadline = clock.monotonic() + _DRAIN_SECONDS
        with self._change:
            self._keep = False
            self._draining = True
            while self._grants and clock.monotonic() < deadline:
                self._change.wait(_LOOK_SECONDS)
            child, self._child = self._child, None
            self._draining = False
        if child:
            child.stop()

    def stop(self) -> None:
        """The supervisor ends: no more restarts."""
        with self._change:
            self._stopped = True
            self._keep = False
            child, self._child = self._child, None
        if child:
            child.stop()

    def watch_memory(self) -> None:
        """Kill the child when it has outgrown its limit; called once a second."""
        with self._change:
            child = self._child
        if child and (used := resources.rss(child.pid)) > self._memory_limit:
            log.error("child_over_memory", model=self.manifest.id, used=used, limit=self._memory_limit)
            child.kill()

    def status(self) -> dict[str, Any]:
        """What the models page shows."""
        with self._change:
            child = self._child
            loaded = child.loaded if child else None
            return {
                "id": self.manifest.id,
                "state": self._state(),
                "pid": child.pid if child else None,
                "memory_bytes": resources.rss(child.pid) if child else 0,
                "provider": loaded.provider if loaded else None,
                "context": loaded.context if loaded else None,
                "busy": len(self._grants),
                "waiting": len(self._queue),
                "error": {"code": self._error.code, "params": self._error.params} if self._error else None,
            }

    # -- all below is called with the condition held, or takes it itself

    def _state(self) -> State:
        if self._child:
            return "loaded"
        if self._quarantined():
            return "quarantined"
        if self._loading:
            return "loading"
        return "failed" if self._error else "idle"

    def _quarantined(self) -> bool:
        return len(self._crashes) == CRASHES and self._crashes[-1] - self._crashes[0] < CRASH_WINDOW_SECONDS

    def _could_grant(self, ticket: object) -> bool:
        free = len(self._grants) < self._places and not self._draining
        return self._child is not None and free and self._queue[0] is ticket

    def _try_grant(self, ticket: object, seen: int) -> Grant | None:
        if self._stopped:
            raise ModelFailedError("the box is stopping", name=self.manifest.name)
        if self._child is None:
            if self._quarantined():
                raise ModelQuarantinedError(name=self.manifest.name)
            if self._failures != seen and self._error:
                raise self._error
            self._start_loading()
            return None
        if not self._could_grant(ticket):
            return None
        self._queue.popleft()
        grant = Grant(self._child)
        self._grants.add(grant)
        return grant

    def _take_back(self, grant: Grant, ticket: object) -> None:
        # Its child is dying: first in line again, until the news of its death is here.
        self._grants.discard(grant)
        self._queue.appendleft(ticket)
        if self._child is grant.child:
            self._change.wait(_LOOK_SECONDS)

    def _start_loading(self) -> None:
        if self._loading or self._draining or self._stopped or clock.monotonic() < self._not_before:
            return
        self._loading = True
        threading.Thread(target=self._load, name=f"load-{self.manifest.id}", daemon=True).start()

    def _load(self) -> None:
        error: HakoError | None = None
        child: Child | None = None
        try:
            child = self._launch(self.manifest, self._exited)
        except HakoError as refused:
            error = refused
        except OSError as broken:
            error = ModelFailedError(f"could not start: {broken}", name=self.manifest.name)
        except Exception:  # else it would count as loading for ever, and hold up everybody who asks
            log.exception("load_crashed", model=self.manifest.id)
            error = ModelFailedError("load crashed", name=self.manifest.name)
        with self._change:
            self._loading = False
            self._error = error
            if child and child.alive and not self._stopped:
                self._child = child
                log.info("model_loaded", model=self.manifest.id, seconds=round(clock.monotonic() - child.started, 2))
            elif error or child:
                self._failed(error or ModelFailedError("died when ready", name=self.manifest.name))
            self._change.notify_all()
        if child and self._stopped:
            child.stop()

    def _failed(self, error: HakoError) -> None:
        self._error = error
        self._failures += 1
        if isinstance(error, ModelFailedError):
            self._note_crash()
        log.error("model_not_loaded", model=self.manifest.id, code=error.code, detail=error.detail)

    def _note_crash(self) -> None:
        now = clock.monotonic()
        self._crashes.append(now)
        recent = sum(1 for at in self._crashes if now - at < CRASH_WINDOW_SECONDS)
        # The first restart is immediate, so that one crash costs one answer; then 1, 2, 4 … seconds.
        self._not_before = now + (self._backoff * math.pow(2, recent - 2) if recent > 1 else 0.0)

    def _exited(self, child: Child) -> None:
        with self._change:
            if self._child is not child:
                return  # still loading (that thread reports), or stopped on purpose
            self._child = None
            self._grants = {grant for grant in self._grants if grant.child is not child}
            self._note_crash()
            log.error("child_died", model=self.manifest.id, how=child.exit_status(), quarantined=self._quarantined())
            self._change.notify_all()
            wait = self._not_before - clock.monotonic()
            restart = self._keep and not self._quarantined() and not self._stopped
        if restart:
            timer = threading.Timer(max(0.0, wait), self._restart)
            timer.daemon = True
            timer.start()

    def _restart(self) -> None:
        with self._change:
            if self._child is None and self._keep and not self._quarantined():
                self._start_loading()
