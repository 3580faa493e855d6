"""The queue: claims, leases, progress, cancelling."""

import pytest

from appliance import clock
from appliance.errors import CancelledError, DamagedDocumentError
from appliance.jobs.queue import Queue
from appliance.storage.database import Database


@pytest.fixture
def queue(database: Database) -> Queue:
    return Queue(database)


def test_a_job_is_claimed_once(queue: Queue) -> None:
    job_id = queue.enqueue("ingest", {"document": "doc_1"})
    job = queue.claim(["ingest"])
    assert job is not None
    assert (job.id, job.payload, job.attempts) == (job_id, {"document": "doc_1"}, 1)
    assert queue.claim(["ingest"]) is None


def test_jobs_of_other_kinds_are_left_alone(queue: Queue) -> None:
    queue.enqueue("backup", {})
    assert queue.claim(["ingest"]) is None


def test_the_oldest_comes_first(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: 10.0)
    first = queue.enqueue("ingest", {"n": 1})
    monkeypatch.setattr(clock, "now", lambda: 20.0)
    queue.enqueue("ingest", {"n": 2})
    monkeypatch.setattr(clock, "now", lambda: 30.0)
    job = queue.claim(["ingest"])
    assert job is not None
    assert job.id == first


def test_an_unfinished_job_of_the_same_key_is_not_doubled(queue: Queue) -> None:
    first = queue.enqueue("ingest", {}, key="doc_1")
    assert queue.enqueue("ingest", {}, key="doc_1") == first


def test_a_finished_job_of_the_same_key_is_replaced(queue: Queue) -> None:
    first = queue.enqueue("ingest", {}, key="doc_1")
    job = queue.claim(["ingest"])
    assert job is not None
    queue.finish(job)
    assert queue.enqueue("ingest", {}, key="doc_1") != first


def test_a_lease_that_ran_out_lets_another_worker_take_over(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    queue.enqueue("ingest", {}, key="doc_1")
    lost = queue.claim(["ingest"], lease_s=60)
    assert lost is not None
    later = clock.now() + 61
    monkeypatch.setattr(clock, "now", lambda: later)
    taken = queue.claim(["ingest"])
    assert taken is not None
    assert taken.attempts == 2
    with pytest.raises(CancelledError):  # the first worker comes back to life
        queue.report(lost, "embedding", 1, 2)
    queue.finish(lost)
    found = queue.by_key("doc_1")
    assert found is not None
    assert found.state == "running"


def test_progress_is_stored(queue: Queue) -> None:
    queue.enqueue("ingest", {}, key="doc_1")
    job = queue.claim(["ingest"])
    assert job is not None
    queue.report(job, "embedding", 3, 9)
    found = queue.by_key("doc_1")
    assert found is not None
    assert (found.stage, found.done, found.total) == ("embedding", 3, 9)


def test_cancelling_a_waiting_job_closes_it(queue: Queue) -> None:
    queue.enqueue("ingest", {}, key="doc_1")
    assert queue.cancel("doc_1") is True
    assert queue.claim(["ingest"]) is None


def test_cancelling_a_running_job_tells_its_worker(queue: Queue) -> None:
    queue.enqueue("ingest", {}, key="doc_1")
    job = queue.claim(["ingest"])
    assert job is not None
    assert queue.cancel("doc_1") is False
    with pytest.raises(CancelledError):
        queue.report(job, "reading", 0, 1)


def test_a_failure_keeps_its_code_and_figures(queue: Queue) -> None:
    queue.enqueue("ingest", {}, key="doc_1")
    job = queue.claim(["ingest"])
    assert job is not None
    queue.finish(job, "failed", DamagedDocumentError("detail for the log", page=3))
    found = queue.by_key("doc_1")
    assert found is not None
    assert (found.state, found.error_code, found.error_params) == ("failed", "HK-DOC-012", {"page": 3})


def test_a_postponed_job_waits_and_is_not_counted(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    queue.enqueue("ingest", {})
    job = queue.claim(["ingest"])
    assert job is not None
    queue.postpone(job, 5)
    assert queue.claim(["ingest"]) is None
    later = clock.now() + 6
    monkeypatch.setattr(clock, "now", lambda: later)
    again = queue.claim(["ingest"])
    assert again is not None
    assert again.attempts == 1


def test_what_a_dead_worker_held_is_given_back_at_start(queue: Queue) -> None:
    queue.enqueue("ingest", {})
    assert queue.claim(["ingest"]) is not None
    assert queue.recover() == 1
    assert queue.claim(["ingest"]) is not None
