"""The self-test: each process of the box has a child of its own try to leave, and every try has to be refused."""

import time
from collections.abc import Iterator, Sequence
from typing import Final

from appliance import clock
from appliance.errors import HakoError
from appliance.health.airgap.facts import Place, State, Test, Tried, worst
from appliance.inference.client import InferenceClient
from appliance.jobs.queue import Job, Queue
from appliance.jobs.worker import Report
from appliance.machine import leaving
from appliance.machine.leaving import Try
from appliance.storage import settings_store
from appliance.storage.database import Database

PLACES: Final = ("web", "worker", "documents", "model", "firewall")
"""documents: the jail of who reads documents. model: beside the processes of models. firewall: its rules."""
_SETTING: Final = "airgap-test"
_WORKER: Final = "airgap-test-worker"
_KEY: Final = "airgap-test"
_PATIENCE_S: Final = 45.0
_LOOK_S: Final = 0.1


class WorkerTest:
    """The handler of the worker's part."""

    KIND: Final = "airgap-test"

    def __init__(self, database: Database) -> None:
        self._database = database

    def run(self, job: Job, report: Report) -> None:
        """Try from here, and from the jail."""
        report("trying", 0, 2)
        mine = leaving.from_child()
        report("trying", 1, 2)
        jailed = leaving.from_child("--jail")
        told = {"job": job.id, "worker": _told(mine), "documents": _told(jailed)}
        settings_store.put(self._database, _WORKER, told)

    def closed(self, job: Job, error: HakoError | None) -> None:
        """Who waits sees by itself that it is over."""


class SelfTest:
    """Runs in web; safe to share between threads."""

    def __init__(self, database: Database, queue: Queue, inference: InferenceClient, *, is_closed: bool) -> None:
        """`is_closed`: whether each process should have no network, as under units."""
        self._database, self._queue, self._inference = database, queue, inference
        self._is_closed = is_closed

    def run(self, firewall: Place) -> Test:
        """Now; takes some seconds. `firewall`: how its rules did when they were tried."""
        job = self._queue.enqueue(WorkerTest.KIND, {}, key=_KEY)
        places = [
            self._place("web", leaving.from_child()),
            self._place("model", self._model()),
            *self._worker(job),
            firewall,
        ]
        places.sort(key=lambda place: PLACES.index(place.name))
        test = made(int(clock.now()), places)
        settings_store.put(self._database, _SETTING, test.model_dump(mode="json"))
        return test

    def last(self) -> Test:
        """The last one; a part that says so where there was none."""
        stored = settings_store.get(self._database, _SETTING)
        return Test(state="unknown", why="not-tried") if stored is None else Test.model_validate(stored)

    def _model(self) -> Sequence[Try]:
        try:
            return self._inference.leaving()
        except HakoError as error:
            return _unknown(error.code)

    def _worker(self, job: str) -> Iterator[Place]:
        until = clock.monotonic() + _PATIENCE_S
        while clock.monotonic() < until:
            told = settings_store.get(self._database, _WORKER)
            if told is not None and told["job"] == job:
                for name in ("worker", "documents"):
                    yield self._place(name, [Try(**each) for each in told[name]])
                return
            time.sleep(_LOOK_S)
        for name in ("worker", "documents"):
            yield self._place(name, _unknown("no-answer"))

    def _place(self, name: str, tries: Sequence[Try]) -> Place:
        return place(name, tries, is_closed=self._is_closed or name == "documents")


def place(name: str, tries: Sequence[Try], *, is_closed: bool) -> Place:
    """How it stands there. What was kept back counts as open only where a fence should have been."""
    outcomes = {each.outcome for each in tries}
    state: State = "ok"
    why = ""
    if "sent" in outcomes or ("kept-back" in outcomes and is_closed):
        state = "error"
    elif "kept-back" in outcomes:
        state, why = "unknown", "no-fence"
    elif "unknown" in outcomes or not tries:
        state, why = "unknown", next((each.by for each in tries if each.outcome == "unknown"), "no-answer")
    told = tuple(Tried(way=each.way, outcome=each.outcome, by=each.by) for each in tries)
    return Place(name=name, state=state, why=why, tries=told)


def made(at: int, places: Sequence[Place]) -> Test:
    """What the places come to."""
    state = worst([each.state for each in places])
    about = ("test-left",) if state == "error" else ()
    return Test(
        state=state, why="not-everywhere" if state == "unknown" else "", about=about, at=at, places=tuple(places)
    )


def _told(tries: Sequence[Try]) -> list[dict[str, str]]:
    return [{"way": each.way, "outcome": each.outcome, "by": each.by} for each in tries]


def _unknown(by: str) -> list[Try]:
    return [Try(way, "unknown", by) for way in leaving.WAYS]
