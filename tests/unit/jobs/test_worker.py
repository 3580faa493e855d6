"""The worker's loop: results, failures, trouble that passes, jobs that kill their worker."""

from collections.abc import Callable

import pytest

from appliance import clock
from appliance.errors import CancelledError, EmptyDocumentError, HakoError, InferenceUnreachableError
from appliance.jobs.queue import MAX_ATTEMPTS, Job, Queue
from appliance.jobs.worker import Report, Worker
from appliance.storage.database import Database


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
