"""The worker's loop: results, failures, trouble that passes, jobs that kill their worker."""

import threading
from collections.abc import Callable

import pytest

from appliance import clock
from appliance.errors import CancelledError, DiskFullError, EmptyDocumentError, HakoError, InferenceUnreachableError
from appliance.jobs import worker as module
from appliance.jobs.queue import MAX_ATTEMPTS, Job, Queue
from appliance.jobs.worker import Report, Worker
from appliance.storage.database import Database
from tests.simulators.waiting import eventually


class Recorder:
    """A handler that does what a test says and remembers how the job was closed."""

    def __init__(self, act: Callable[[Job, Report], None] = lambda _job, _report: None) -> None:
        self.act = act
        self.runs = 0
        self.errors: list[HakoError | None] = []

    def run(self, job: Job, report: Report) -> None:
        self.runs += 1
        self.act(job, report)

    def closed(self, _job: Job, error: HakoError | None) -> None:
        self.errors.append(error)


@pytest.fixture
def queue(database: Database) -> Queue:
    queue = Queue(database)
    queue.enqueue("ingest", {}, key="k")
    return queue


def state(queue: Queue) -> str:
    job = queue.by_key("k")
    assert job is not None
    return job.state


def test_a_job_that_ends_is_done(queue: Queue) -> None:
    handler = Recorder(lambda _job, report: report("reading", 1, 1))
    worker = Worker(queue, {"ingest": handler})
    assert worker.step()
    assert not worker.step()
    assert (state(queue), handler.errors) == ("done", [None])


def test_a_failure_is_kept_with_its_reason(queue: Queue) -> None:
    def fail(_job: Job, _report: Report) -> None:
        raise EmptyDocumentError

    handler = Recorder(fail)
    Worker(queue, {"ingest": handler}).step()
    assert state(queue) == "failed"
    assert isinstance(handler.errors[0], EmptyDocumentError)


def test_a_mistake_in_a_handler_does_not_end_the_worker(queue: Queue) -> None:
    def crash(_job: Job, _report: Report) -> None:
        raise ValueError("secret document text")

    handler = Recorder(crash)
    assert Worker(queue, {"ingest": handler}).step()
    assert state(queue) == "failed"
    assert handler.errors[0] is not None
    assert handler.errors[0].code == "HK-BOX-001"


def test_a_job_cancelled_while_it_runs_is_closed_as_cancelled(queue: Queue) -> None:
    def cancelled(_job: Job, report: Report) -> None:
        queue.cancel("k")
        report("embedding", 1, 3)

    handler = Recorder(cancelled)
    Worker(queue, {"ingest": handler}).step()
    assert state(queue) == "cancelled"
    assert isinstance(handler.errors[0], CancelledError)


def test_trouble_that_passes_is_tried_again_later(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_job: Job, _report: Report) -> None:
        raise InferenceUnreachableError

    handler = Recorder(away)
    worker = Worker(queue, {"ingest": handler})
    worker.step()
    assert (state(queue), handler.errors) == ("waiting", [])
    handler.act = lambda _job, _report: None
    later = clock.now() + 10
    monkeypatch.setattr(clock, "now", lambda: later)
    worker.step()
    assert (state(queue), handler.errors) == ("done", [None])


def test_a_job_whose_worker_keeps_dying_is_given_up(queue: Queue) -> None:
    handler = Recorder()
    for _ in range(MAX_ATTEMPTS):
        assert queue.claim(["ingest"]) is not None
        queue.recover()
    Worker(queue, {"ingest": handler}).step()
    assert handler.runs == 0
    assert state(queue) == "failed"


def test_a_job_may_wait_for_hours_before_its_trouble_begins(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_job: Job, _report: Report) -> None:
        raise InferenceUnreachableError

    later = clock.now() + 7200
    monkeypatch.setattr(clock, "now", lambda: later)
    handler = Recorder(away)
    Worker(queue, {"ingest": handler}).step()
    assert (state(queue), handler.errors) == ("waiting", [])


def test_trouble_that_lasts_becomes_a_failure(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_job: Job, _report: Report) -> None:
        raise InferenceUnreachableError

    worker = Worker(queue, {"ingest": Recorder(away)})
    now, ticks = clock.now(), clock.monotonic()
    for minutes in (0, 5, 11):
        monkeypatch.setattr(clock, "now", lambda minutes=minutes: now + 60 * minutes)
        monkeypatch.setattr(clock, "monotonic", lambda minutes=minutes: ticks + 60 * minutes)
        assert state(queue) == "waiting"
        worker.step()
    assert state(queue) == "failed"


def test_a_worker_that_is_told_to_stop_leaves_its_job_to_the_next(queue: Queue) -> None:
    stop = threading.Event()

    def long(_job: Job, report: Report) -> None:
        stop.set()
        report("embedding", 1, 1000)
        raise AssertionError("went on")

    handler = Recorder(long)
    for _ in range(MAX_ATTEMPTS + 2):
        stop.clear()
        Worker(queue, {"ingest": handler}).run(stop)
        assert (state(queue), handler.errors) == ("waiting", [])
    handler.act = lambda _job, report: report("reading", 1, 1)
    Worker(queue, {"ingest": handler}).step()
    assert (state(queue), handler.errors) == ("done", [None])


@pytest.mark.parametrize("moment", ["claim", "report", "closed", "finish"])
def test_a_full_disk_ends_neither_the_worker_nor_the_job(
    queue: Queue, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RETRY_AFTER_S", 0.02)
    handler = Recorder(lambda _job, report: report("reading", 1, 1))
    failures = iter([True, True])
    owner = handler if moment == "closed" else queue
    real = getattr(owner, moment)

    def full(*values: object) -> object:
        if next(failures, False):
            raise DiskFullError
        return real(*values)

    monkeypatch.setattr(owner, moment, full)
    stop = threading.Event()
    worker = threading.Thread(target=Worker(queue, {"ingest": handler}).run, args=(stop, 0.02), daemon=True)
    worker.start()
    assert eventually(lambda: state(queue) == "done")
    stop.set()
    worker.join(10)
    assert handler.errors == [None]
