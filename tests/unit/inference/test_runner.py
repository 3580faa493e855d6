"""One model's life with a launcher that does as told: queue, places, crashes, quarantine, unloading."""

import os
import threading
from collections.abc import Callable, Iterator
from typing import cast

import pytest

from appliance.errors import (
    BusyError,
    CancelledError,
    HakoError,
    ModelDamagedError,
    ModelFailedError,
    ModelQuarantinedError,
)
from appliance.inference.engine import Loaded
from appliance.inference.manifest import Manifest
from appliance.inference.runner import CRASHES, Grant, Runner, Stage
from appliance.inference.spawn import Child
from tests.simulators.waiting import eventually

MANIFEST = Manifest.model_validate(
    {
        "id": "talker", "name": "Talker", "kind": "chat", "engine": "scripted", "entry": "script", "licence": "MIT",
        "files": {"script": {"sha256": "0" * 64, "size": 5}}, "source": "test", "languages": ["en"], "context": 100,
    }
)  # fmt: skip


class FakeChild:
    """A child without a process; `die` is what a crash looks like."""

    def __init__(self, exited: Callable[[Child], None]) -> None:
        self.pid = os.getpid()
        self.started = 0.0
        self.loaded = Loaded("cpu", 100)
        self.alive = True
        self.is_dying = False
        self.stopped = threading.Event()
        self._exited = exited

    def answers(self) -> bool:
        return self.alive and not self.is_dying

    def die(self) -> None:
        self.alive = False
        self._exited(cast("Child", self))

    kill = die

    def stop(self) -> None:
        self.alive = False
        self.stopped.set()

    def exit_status(self) -> str:
        return "signal 9"


class Launcher:
    """Remembers what it started; raises `error` instead when there is one, waits while `gate` is closed."""

    def __init__(self) -> None:
        self.children: list[FakeChild] = []
        self.error: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.starts = 0

    def __call__(self, _manifest: Manifest, exited: Callable[[Child], None]) -> Child:
        self.starts += 1
        assert self.gate.wait(20)
        if self.error:
            raise self.error
        self.children.append(FakeChild(exited))
        return cast("Child", self.children[-1])


@pytest.fixture
def launcher() -> Launcher:
    return Launcher()


@pytest.fixture
def runner(launcher: Launcher) -> Iterator[Runner]:
    runner = Runner(MANIFEST, 2, 1 << 40, launcher, backoff_seconds=0.01)
    yield runner
    runner.stop()


def patient(_stage: Stage, _place: int) -> bool:
    return True


class Waiter:
    """Somebody in the queue, in a thread of their own."""

    def __init__(self, runner: Runner) -> None:
        self.grant: Grant | None = None
        self.error: HakoError | None = None
        self.told: list[tuple[Stage, int]] = []
        self.patient = True
        self._runner = runner
        self.thread = threading.Thread(target=self._wait)
        self.thread.start()

    def _wait(self) -> None:
        try:
            self.grant = self._runner.lease(self._tell)
        except HakoError as error:
            self.error = error

    def _tell(self, stage: Stage, place: int) -> bool:
        if self.told[-1:] != [(stage, place)]:
            self.told.append((stage, place))
        return self.patient

    def waits_at(self, stage: Stage, place: int) -> bool:
        return eventually(lambda: self.told[-1:] == [(stage, place)])

    def has_it(self) -> bool:
        return eventually(lambda: self.grant is not None)

    def failed(self) -> HakoError:
        self.thread.join(20)
        assert self.error
        return self.error


def test_the_first_to_ask_loads_the_model_and_the_next_find_it_loaded(runner: Runner, launcher: Launcher) -> None:
    first = runner.lease(patient)
    second = runner.lease(patient)
    assert first.child is second.child
    assert launcher.starts == 1
    assert runner.status() | {"memory_bytes": 0} == {
        "id": "talker", "state": "loaded", "pid": os.getpid(), "memory_bytes": 0, "provider": "cpu", "context": 100,
        "busy": 2, "waiting": 0, "error": None,
    }  # fmt: skip


def test_who_waits_is_told_the_place_and_served_in_order(runner: Runner) -> None:
    grants = [runner.lease(patient) for _ in range(2)]
    first = Waiter(runner)
    assert first.waits_at("queued", 1)
    second = Waiter(runner)
    assert second.waits_at("queued", 2)
    runner.release(grants[0])
    assert first.has_it()
    assert second.waits_at("queued", 1)
    assert second.grant is None
    runner.release(grants[1])
    assert second.has_it()


def test_loading_is_told_too(runner: Runner, launcher: Launcher) -> None:
    launcher.gate.clear()
    waiter = Waiter(runner)
    assert waiter.waits_at("loading", 1)
    assert runner.status()["state"] == "loading"
    launcher.gate.set()
    assert waiter.has_it()


def test_who_leaves_the_queue_holds_up_nobody(runner: Runner) -> None:
    grants = [runner.lease(patient) for _ in range(2)]
    impatient = Waiter(runner)
    assert impatient.waits_at("queued", 1)
    patient_one = Waiter(runner)
    assert patient_one.waits_at("queued", 2)
    impatient.patient = False
    assert isinstance(impatient.failed(), CancelledError)
    assert patient_one.waits_at("queued", 1)
    runner.release(grants[0])
    assert patient_one.has_it()


def test_a_client_that_breaks_off_while_being_told_leaves_no_ticket(runner: Runner) -> None:
    def broken(_stage: Stage, _place: int) -> bool:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        runner.lease(broken)
    assert runner.status()["waiting"] == 0
    assert runner.lease(patient)


def test_a_full_queue_says_busy(runner: Runner, launcher: Launcher) -> None:
    launcher.gate.clear()
    waiters = [Waiter(runner) for _ in range(64)]
    assert eventually(lambda: runner.status()["waiting"] == 64)
    with pytest.raises(BusyError):
        runner.lease(patient)
    for waiter in waiters:
        waiter.patient = False
    launcher.gate.set()
    for waiter in waiters:
        waiter.thread.join(20)


def test_a_refused_model_is_told_to_all_who_wait_and_tried_again_by_the_next(
    runner: Runner, launcher: Launcher
) -> None:
    launcher.gate.clear()
    launcher.error = ModelDamagedError("digest differs", name="Talker")
    waiters = [Waiter(runner) for _ in range(3)]
    assert eventually(lambda: runner.status()["waiting"] == 3)
    launcher.gate.set()
    assert all(isinstance(waiter.failed(), ModelDamagedError) for waiter in waiters)
    assert runner.status()["state"] == "failed"
    assert runner.status()["error"] == {"code": "HK-MOD-002", "params": {"name": "Talker"}}
    launcher.error = None
    assert runner.lease(patient)
    assert runner.status()["error"] is None


def test_a_launcher_without_resources_is_a_failed_model(runner: Runner, launcher: Launcher) -> None:
    launcher.error = OSError("no more processes")
    with pytest.raises(ModelFailedError):
        runner.lease(patient)


def test_a_crash_frees_its_places_and_the_next_answer_works(runner: Runner, launcher: Launcher) -> None:
    grants = [runner.lease(patient) for _ in range(2)]
    launcher.children[0].die()
    assert runner.status()["busy"] == 0
    again = runner.lease(patient)
    assert again.child is not grants[0].child
    for grant in grants:
        runner.release(grant)
    assert runner.status()["busy"] == 1


def test_nobody_is_sent_to_a_child_that_is_about_to_be_dead(runner: Runner, launcher: Launcher) -> None:
    runner.release(runner.lease(patient))
    launcher.children[0].is_dying = True
    waiter = Waiter(runner)
    assert waiter.waits_at("queued", 1)
    assert waiter.grant is None
    launcher.children[0].die()
    assert waiter.has_it()
    assert len(launcher.children) == 2


def test_crashing_again_and_again_ends_in_quarantine_until_somebody_loads_it(
    runner: Runner, launcher: Launcher
) -> None:
    for _ in range(CRASHES):
        runner.release(runner.lease(patient))
        launcher.children[-1].die()
    assert runner.status()["state"] == "quarantined"
    with pytest.raises(ModelQuarantinedError):
        runner.lease(patient)
    assert launcher.starts == CRASHES
    runner.load(patient)
    assert runner.status()["state"] == "loaded"


def test_dying_while_loading_counts_as_a_crash_and_damage_does_not(runner: Runner, launcher: Launcher) -> None:
    launcher.error = ModelDamagedError(name="Talker")
    for _ in range(CRASHES + 1):
        with pytest.raises(ModelDamagedError):
            runner.lease(patient)
    launcher.error = ModelFailedError(name="Talker")
    for _ in range(CRASHES - 1):
        with pytest.raises(ModelFailedError):
            runner.lease(patient)
    with pytest.raises(ModelQuarantinedError):
        runner.lease(patient)


def test_a_model_that_is_kept_comes_back_by_itself(runner: Runner, launcher: Launcher) -> None:
    runner.load(patient)
    launcher.children[0].die()
    assert eventually(lambda: runner.status()["state"] == "loaded")
    assert len(launcher.children) == 2


def test_a_model_that_is_not_kept_stays_away_until_it_is_asked_for(runner: Runner, launcher: Launcher) -> None:
    runner.release(runner.lease(patient))
    launcher.children[0].die()
    assert not eventually(lambda: runner.status()["state"] == "loaded", within_s=0.2)
    assert runner.lease(patient)


def test_unloading_lets_answers_end_and_starts_none(runner: Runner, launcher: Launcher) -> None:
    grant = runner.lease(patient)
    unloading = threading.Thread(target=runner.unload)
    unloading.start()
    latecomer = Waiter(runner)
    assert latecomer.waits_at("queued", 1)
    assert not launcher.children[0].stopped.is_set()
    runner.release(grant)
    unloading.join(20)
    assert launcher.children[0].stopped.is_set()
    assert latecomer.has_it()
    assert latecomer.grant
    assert latecomer.grant.child is not grant.child


def test_stopping_on_purpose_is_no_crash(runner: Runner, launcher: Launcher) -> None:
    for _ in range(CRASHES + 1):
        runner.release(runner.lease(patient))
        runner.unload()
        launcher.children[-1].die()  # the watcher of a stopped child reports its end as well
    assert runner.status()["state"] == "idle"


def test_a_child_over_its_limit_is_killed(launcher: Launcher) -> None:
    runner = Runner(MANIFEST, 1, 1000, launcher)  # this very process is far larger
    runner.release(runner.lease(patient))
    runner.watch_memory()
    assert not launcher.children[0].alive
    assert runner.status()["pid"] is None
    runner.stop()


def test_a_box_that_stops_ends_the_child_and_whoever_waits(runner: Runner, launcher: Launcher) -> None:
    for _ in range(2):
        runner.lease(patient)
    waiter = Waiter(runner)
    assert waiter.waits_at("queued", 1)
    runner.stop()
    assert isinstance(waiter.failed(), ModelFailedError)
    assert launcher.children[0].stopped.is_set()


def test_a_child_that_finishes_loading_when_the_box_stops_is_ended(runner: Runner, launcher: Launcher) -> None:
    launcher.gate.clear()
    waiter = Waiter(runner)
    assert waiter.waits_at("loading", 1)
    runner.stop()
    launcher.gate.set()
    assert eventually(lambda: bool(launcher.children))
    assert launcher.children[0].stopped.wait(20)
    assert isinstance(waiter.failed(), ModelFailedError)


def test_a_mistake_while_loading_ends_the_loading_and_the_next_try_works(runner: Runner, launcher: Launcher) -> None:
    launcher.error = ValueError("not a report")
    with pytest.raises(ModelFailedError):
        runner.lease(patient)
    launcher.error = None
    assert runner.lease(patient).child is cast("object", launcher.children[-1])
