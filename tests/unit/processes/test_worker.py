"""The workers of one process: they end together, and a crash of any is not kept quiet."""

import threading
from pathlib import Path

import pytest

from appliance.errors import HakoError
from appliance.jobs.queue import Job, Queue
from appliance.jobs.worker import Report, Worker
from appliance.processes import worker
from appliance.storage.database import Database


class Crashing(Worker):
    def run(self, stop: threading.Event, idle_s: float = 0.5) -> None:
        raise RuntimeError("broken")


class Working:
    """Works off its jobs and says so."""

    def __init__(self) -> None:
        self.done = threading.Event()

    def run(self, job: Job, report: Report) -> None:
        self.done.set()

    def closed(self, job: Job, error: HakoError | None) -> None:
        pass


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    database = Database(tmp_path / "hako.db", bytes(range(32)))
    database.migrate()
    return Queue(database)


def test_the_one_beside_works_while_the_other_does(queue: Queue) -> None:
    stop, handler = threading.Event(), Working()
    queue.enqueue("beside", {})
    with worker._beside("beside", Worker(queue, {"beside": handler}).run, stop):
        assert handler.done.wait(20)
        assert not stop.is_set()
    assert stop.is_set()


def test_a_crash_of_the_one_beside_ends_the_process(queue: Queue) -> None:
    stop = threading.Event()
    with pytest.raises(HakoError), worker._beside("beside", Crashing(queue, {}).run, stop):
        assert stop.wait(20)
