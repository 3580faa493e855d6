"""One model's life: load on demand, a fair queue for its places, restart after a crash, quarantine, end when idle."""

import threading
from collections.abc import Callable
from typing import Any

from appliance import clock, logs
from appliance.errors import (
    BusyError,
    CancelledError,
    HakoError,
    LoadCancelledError,
    ModelFailedError,
    ModelQuarantinedError,
)
from appliance.inference.crashes import Crashes
from appliance.inference.engine import EngineSpec
from appliance.inference.fair_queue import FairQueue, Ticket
from appliance.inference.grants import Grant, Stage, State, Waiting
from appliance.inference.loading import Loading
from appliance.inference.manifest import Manifest
from appliance.inference.pace import Pace
from appliance.inference.rate import Rate
from appliance.inference.spawn import Child
from appliance.inference.terms import Terms
from appliance.machine import resources

log = logs.get(__name__)

_LOOK_SECONDS = 0.25
_DRAIN_SECONDS = 20.0

Launch = Callable[[Manifest, EngineSpec, Callable[[Child], None], Loading], Child]
"""Verifies, makes room and starts; blocks until the child is ready or raises. The child's end is told to the third."""


class Runner:
    """Thread-safe."""

    def __init__(self, manifest: Manifest, terms: Terms, launch: Launch, backoff_seconds: float = 1.0) -> None:
        self.manifest = manifest
        self.terms = terms
        """As they are now; a child that was started under others is replaced when it is idle."""
        self._in_force = terms
        self._launch = launch
        self._change = threading.Condition()
        self._queue = FairQueue()
        self._grants: set[Grant] = set()
        self._child: Child | None = None
        self._loading: Loading | None = None
        self._leaving = 0
        """Callers that wait for answers or a child to end; nothing is granted and nothing started meanwhile."""
        self._keep = False
        self._stay: float | None = None
        """How long the child stays without a question, where somebody said so of this load; below 0 for ever."""
        self._stopped = False
        self._error: HakoError | None = None
        self._failures = 0
        self._crashes = Crashes(backoff_seconds)
        self._loaded_at = 0.0
        self._used_at = 0.0
        self._answered = 0
        self._pace = Pace()
        self._rate = Rate()

    def lease(self, who: str, waiting: Waiting, *, client: str = "", aside: bool = False) -> Grant:
        """Wait for a place in the turn of `who`, loading the model if need be; `aside`: only until it is loaded.

        `client`: which of that one's clients asks, for they take turns as well.

        Raises:
            BusyError: the queue is full, or `who` or that client has too many requests in it.
            ModelQuarantinedError: crashed too often.
            CancelledError: `waiting` said that nobody waits any more.
            HakoError: why the model could not be loaded.
        """
        with self._change:
            if self._queue.is_full_for(who, client):
                raise BusyError("queue full", retry_after_s=self._pace.retry_after(self._in_force.places))
            ticket = self._queue.join(who, client, aside=aside)
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
                    place = self._queue.place(ticket)
                    seconds = self._pace.wait(place, self._in_force.places) if stage == "queued" else None
                if not waiting(stage, place, seconds):
                    raise CancelledError("left the queue")
                with self._change:
                    if not self._could_grant(ticket):
                        self._change.wait(_LOOK_SECONDS)
        finally:
            with self._change:
                self._queue.leave(ticket)
                self._change.notify_all()

    def release(self, grant: Grant) -> None:
        """Give the place back; harmless after the child has gone."""
        with self._change:
            if grant in self._grants and not grant.aside:
                self._answered += 1
                self._pace.note(clock.monotonic() - grant.since)
            self._give_back(grant)

    def wrote(self, grant: Grant, tokens: object) -> None:
        """So many more tokens of the answer that holds this place, as its holder says."""
        with self._change:
            if grant in self._grants and isinstance(tokens, int) and tokens > 0:
                self._rate.note(tokens)

    def load(self, waiting: Waiting) -> None:
        """Load and keep loaded, as the terms are now: lifts a quarantine, restarts after crashes."""
        with self._change:
            self._keep = True
            self._crashes.forget()
            if self._child is None:
                self._error = None
            outdated = self._is_outdated()
        if outdated:
            self._drain()
        grant = self.lease("", waiting)
        with self._change:
            self._give_back(grant)

    def unload(self) -> None:
        """Let running answers end, then stop the child; end a load that is under way."""
        with self._change:
            self._keep = False
            loading = self._loading
        if loading:
            loading.cancel()
        self._drain()

    def stay(self, seconds: float) -> None:
        """Let the child stay so long without a question; below 0 until its memory is needed. What is pinned stays."""
        with self._change:
            if self.terms.pinned or (self._child is None and not self._loading):
                return
            self._stay = seconds
        self.tend()

    def unload_if_idle(self) -> bool:
        """Stop the child at once if nobody has a place or waits for one; whether it was so."""
        with self._change:
            if not self._is_idle():
                return False
            child = self._take_child()
        self._see_off(child)
        return True

    def tend(self) -> None:
        """Unload what nobody has asked for in too long, load anew what has other terms now; called once a second."""
        with self._change:
            limit = self.terms.idle_limit(self._stay, kept=self._keep)
            overdue = limit is not None and self._is_idle() and limit <= self._idle_seconds()
            outdated = self._is_outdated()
        if (overdue or outdated) and self.unload_if_idle():
            log.info("model_unloaded", model=self.manifest.id, why="idle" if overdue else "new terms")
            if not overdue:
                with self._change:
                    self._start_loading()

    def stop(self) -> None:
        """The supervisor ends: no more restarts."""
        with self._change:
            self._stopped = True
            self._keep = False
            child, self._child = self._child, None
            loading = self._loading
        if loading:
            loading.cancel()
        if child:
            child.stop()

    def watch_memory(self) -> None:
        """Kill the child when it has outgrown its limit; called once a second."""
        with self._change:
            child = self._child
            limit = self._in_force.memory_limit
        if child and (used := resources.rss(child.pid)) > limit:
            log.error("child_over_memory", model=self.manifest.id, used=used, limit=limit)
            child.kill()

    @property
    def pid(self) -> int | None:
        """Of the child that takes requests."""
        with self._change:
            return self._child.pid if self._child else None

    @property
    def running(self) -> EngineSpec | None:
        """What the child that takes requests was told."""
        with self._change:
            return self._child.spec if self._child else None

    @property
    def idle_since(self) -> float | None:
        """When the last place was given back, on the monotonic clock; None while it's in use or not loaded."""
        with self._change:
            return self._used_at if self._is_idle() else None

    def status(self) -> dict[str, Any]:
        """What the models page shows."""
        with self._change:
            child = self._child
            loaded = child.loaded if child else None
            state = self._state()
            error = self._told_error(state)
            return {
                "id": self.manifest.id,
                "state": state,
                "pid": child.pid if child else None,
                "memory_bytes": resources.rss(child.pid) if child else 0,
                "mapped_bytes": resources.mapped(child.pid) if child else 0,
                "provider": loaded.provider if loaded else None,
                "fell_back": child is not None and child.fell_back,
                "context": loaded.context if loaded else None,
                "busy": self._taken(),
                "waiting": len(self._queue),
                "parallel": self._in_force.places if child else None,
                "pinned": self.terms.pinned,
                "outdated": self._is_outdated(),
                "since": round(clock.monotonic() - self._loaded_at, 1) if child else None,
                "idle_s": round(self._idle_seconds(), 1) if child else None,
                "idle_limit_s": self.terms.idle_limit(self._stay, kept=self._keep),
                "answered": self._answered if child else 0,
                "wait_s": self._wait_for_the_next(),
                "write_per_s": self._rate.now() if child and self.manifest.kind == "chat" else None,
                "loading": self._loading.told() if self._loading and state == "loading" else None,
                "error": {"code": error.code, "params": error.params} if error else None,
            }

    # -- all below is called with the condition held, or takes it itself

    def _state(self) -> State:
        if self._child:
            return "loaded"
        if self._crashes.is_quarantined:
            return "quarantined"
        if self._loading:
            return "loading"
        return "failed" if self._error and not isinstance(self._error, LoadCancelledError) else "idle"

    def _told_error(self, state: State) -> HakoError | None:
        """Why it can't be used; a load that somebody stopped, or a fault since mended, is none."""
        if state == "quarantined":
            return ModelQuarantinedError(name=self.manifest.name)
        return self._error if state == "failed" else None

    def _is_idle(self) -> bool:
        return self._child is not None and not self._grants and not self._queue and not self._leaving

    def _idle_seconds(self) -> float:
        return clock.monotonic() - self._used_at if self._is_idle() else 0.0

    def _is_outdated(self) -> bool:
        return self._child is not None and self._in_force.spec != self.terms.spec

    def _wait_for_the_next(self) -> float | None:
        """How long somebody who came now would wait, if it can be said."""
        if self._child is None:
            return None
        if not self._queue and self._taken() < self._in_force.places:
            return 0.0
        return self._pace.wait(len(self._queue) + 1, self._in_force.places)

    def _give_back(self, grant: Grant) -> None:
        self._grants.discard(grant)
        self._used_at = clock.monotonic()
        self._change.notify_all()

    def _drain(self) -> None:
        """Let running answers end, grant no others, stop the child."""
        deadline = clock.monotonic() + _DRAIN_SECONDS
        with self._change:
            self._leaving += 1
            while (self._grants or self._loading) and clock.monotonic() < deadline:
                self._change.wait(_LOOK_SECONDS)
            child = self._take_child()
            self._leaving -= 1
        self._see_off(child)

    def _take_child(self) -> Child | None:
        child, self._child, self._stay = self._child, None, None
        self._leaving += 1
        return child

    def _see_off(self, child: Child | None) -> None:
        """Stop it; only then may the next one start, which needs its memory."""
        try:
            if child:
                child.stop()
        finally:
            with self._change:
                self._leaving -= 1
                self._change.notify_all()

    def _could_grant(self, ticket: Ticket) -> bool:
        if self._child is None or self._leaving:
            return False
        return ticket.aside or (self._taken() < self._in_force.places and self._queue.is_next(ticket))

    def _taken(self) -> int:
        return sum(not grant.aside for grant in self._grants)

    def _try_grant(self, ticket: Ticket, seen: int) -> Grant | None:
        if self._stopped:
            raise ModelFailedError("the box is stopping", name=self.manifest.name)
        if self._child is None:
            if self._crashes.is_quarantined:
                raise ModelQuarantinedError(name=self.manifest.name)
            if self._failures != seen and self._error:
                raise self._error
            self._start_loading()
            return None
        if not self._could_grant(ticket):
            return None
        self._queue.serve(ticket)
        grant = Grant(self._child, clock.monotonic(), ticket.aside)
        self._grants.add(grant)
        return grant

    def _take_back(self, grant: Grant, ticket: Ticket) -> None:
        # Its child is dying: first in line again, until the news of its death is here.
        self._grants.discard(grant)
        self._queue.put_back(ticket)
        if self._child is grant.child:
            self._change.wait(_LOOK_SECONDS)

    def _start_loading(self) -> None:
        if self._loading or self._leaving or self._stopped or self._crashes.wait_s:
            return
        self._loading = Loading(self.manifest)
        threading.Thread(target=self._load, args=(self._loading,), name=f"load-{self.manifest.id}", daemon=True).start()

    def _load(self, loading: Loading) -> None:
        error: HakoError | None = None
        child: Child | None = None
        terms = self.terms
        try:
            child = self._launch(self.manifest, terms.spec, self._exited, loading)
        except HakoError as refused:
            error = refused
        except OSError as broken:
            error = ModelFailedError(f"could not start: {broken}", name=self.manifest.name)
        except Exception:  # else it would count as loading for ever, and hold up everybody who asks
            log.exception("load_crashed", model=self.manifest.id)
            error = ModelFailedError("load crashed", name=self.manifest.name)
        with self._change:
            self._loading = None
            self._error = error
            if child and child.alive and not self._stopped:
                self._child = child
                self._in_force = terms
                self._loaded_at = self._used_at = clock.monotonic()
                self._answered = 0
                self._rate = Rate()
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
            self._crashes.note()
        log.error("model_not_loaded", model=self.manifest.id, code=error.code, detail=error.detail)

    def _exited(self, child: Child) -> None:
        with self._change:
            if self._child is not child:
                return  # still loading (that thread reports), or stopped on purpose
            self._child = self._stay = None
            self._grants = {grant for grant in self._grants if grant.child is not child}
            self._crashes.note()
            quarantined = self._crashes.is_quarantined
            log.error("child_died", model=self.manifest.id, how=child.exit_status(), quarantined=quarantined)
            self._change.notify_all()
            wait = self._crashes.wait_s
            restart = self._keep and not quarantined and not self._stopped
        if restart:
            timer = threading.Timer(wait, self._restart)
            timer.daemon = True
            timer.start()

    def _restart(self) -> None:
        with self._change:
            if self._child is None and self._keep and not self._crashes.is_quarantined:
                self._start_loading()
