"""The loop: claim a job, run its handler, keep its lease, close it with a result or a reason."""

import threading
from collections.abc import Callable, Mapping
from typing import Protocol

from appliance import clock, logs
from appliance.errors import (
    BusyError,
    CancelledError,
    DiskFullError,
    HakoError,
    InferenceUnreachableError,
    KeysUnreachableError,
    ModelFailedError,
)
from appliance.jobs.queue import LEASE_S, MAX_ATTEMPTS, Job, Queue, State

log = logs.get(__name__)

Report = Callable[[str, int, int], None]
"""`report(stage, done, total)`; raises CancelledError when the job was cancelled."""

_NO_ROOM = (BusyError, DiskFullError)
_PASSING = (InferenceUnreachableError, KeysUnreachableError, ModelFailedError, *_NO_ROOM)
_RETRY_AFTER_S = 5.0
_PASSING_FOR_S = 600.0
"""A passing trouble that lasts longer than this counts as a failure."""


class _StoppingError(CancelledError):
    """The worker is to end, so the job at hand is left for the next one."""


class Handler(Protocol):
    """What works off one kind of job. `run` must be safe to repeat after a crash at any moment."""

    def run(self, job: Job, report: Report) -> None: ...

    def closed(self, job: Job, error: HakoError | None) -> None:
        """The job will not run again: it failed or was cancelled (CancelledError), or is done (None)."""


class _Progress:
    """Writes at most a few rows a second, and renews the lease during long silent stretches."""

    def __init__(self, queue: Queue, job: Job, stop: threading.Event, every_s: float = 0.3) -> None:
        self._queue, self._job, self._stop, self._every_s = queue, job, stop, every_s
        self._lock = threading.Lock()
        self._last: tuple[str, int, int] = ("", 0, 0)
        self._written = -every_s
        self._lost = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep_lease, name="lease", daemon=True)
        self._thread.start()

    def __call__(self, stage: str, done: int, total: int) -> None:
        with self._lock:
            if self._stop.is_set():
                raise _StoppingError(self._job.id)
            if self._lost:
                raise CancelledError(self._job.id)
            due = stage != self._last[0] or done >= total or clock.monotonic() - self._written >= self._every_s
            self._last = (stage, done, total)
            if due:
                self._write()

    def _write(self) -> None:
        try:
            self._queue.report(self._job, *self._last)
        except CancelledError:
            self._lost = True
            raise
        self._written = clock.monotonic()

    def _keep_lease(self) -> None:
        while not self._over.wait(LEASE_S / 4):
            with self._lock:
                try:
                    self._write()
                except HakoError as error:
                    log.warning("lease_not_renewed", job=self._job.id, code=error.code)

    def close(self) -> None:
        self._over.set()
        self._thread.join()


class Worker:
    """Works off jobs one after the other until it is told to stop."""

    def __init__(
        self, queue: Queue, handlers: Mapping[str, Handler], turned: Callable[[], None] = lambda: None
    ) -> None:
        """`turned`: called whenever the loop has turned, or the job at hand has told how far it is."""
        self._queue, self._handlers, self._turned = queue, handlers, turned
        self._trouble: dict[str, float] = {}
        """Since when a job that was put off has been in passing trouble."""

    def run(self, stop: threading.Event, idle_s: float = 0.5) -> None:
        """Block until `stop` is set; the job at hand is then left at its next report, to be begun anew later."""
        while not stop.is_set():
            self._turned()
            try:
                worked = self.step(stop)
            except _NO_ROOM as error:
                log.warning("no_job_claimed", code=error.code)
                stop.wait(_RETRY_AFTER_S)
            else:
                stop.wait(0.0 if worked else idle_s)

    def step(self, stop: threading.Event | None = None) -> bool:
        """Work off one job; False if there is none."""
        stop = stop or threading.Event()
        job = self._queue.claim(self._handlers)
        if job is None:
            return False
        handler = self._handlers[job.kind]
        log.info("job_started", job=job.id, kind=job.kind, attempt=job.attempts)
        error = self._attempt(job, handler, stop)
        if isinstance(error, _StoppingError):
            self._when_there_is_room(lambda: self._queue.postpone(job, 0.0), stop)
            return True
        if isinstance(error, _PASSING) and self._is_passing(job):
            log.info("job_postponed", job=job.id, code=error.code)
            self._when_there_is_room(lambda: self._queue.postpone(job, _RETRY_AFTER_S), stop)
            return True
        self._trouble.pop(job.id, None)
        state: State = "done" if error is None else "cancelled" if isinstance(error, CancelledError) else "failed"
        self._when_there_is_room(lambda: handler.closed(job, error), stop)
        self._when_there_is_room(lambda: self._queue.finish(job, state, error), stop)
        log.info("job_closed", job=job.id, code=error.code if error else None)
        return True

    def _is_passing(self, job: Job) -> bool:
        """Whether the trouble is too new to count as a failure. How long the job had waited before doesn't matter."""
        since = self._trouble.setdefault(job.id, clock.monotonic())
        return clock.monotonic() - since < _PASSING_FOR_S

    def _when_there_is_room(self, write: Callable[[], None], stop: threading.Event) -> None:
        """What became of a job has to be stored: it would be worked off again and again otherwise."""
        while True:
            self._turned()
            try:
                write()
            except _NO_ROOM as error:
                log.warning("job_not_closed", code=error.code)
                if stop.wait(_RETRY_AFTER_S):
                    return
            else:
                return

    def _attempt(self, job: Job, handler: Handler, stop: threading.Event) -> HakoError | None:
        if job.attempts > MAX_ATTEMPTS:
            return HakoError(f"gave up after {MAX_ATTEMPTS} starts")
        if job.cancel:
            return CancelledError(job.id)
        progress = _Progress(self._queue, job, stop)

        def report(stage: str, done: int, total: int) -> None:
            self._turned()
            progress(stage, done, total)

        try:
            handler.run(job, report)
        except HakoError as error:
            return error
        except Exception:
            log.exception("job_crashed", job=job.id, kind=job.kind)
            return HakoError("handler raised")
        finally:
            progress.close()
        return None
