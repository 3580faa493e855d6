"""One model's life with a launcher that does as told: queue, places, crashes, quarantine, unloading, new terms."""

import dataclasses
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import cast

import pytest

from appliance import clock
from appliance.errors import (
    BusyError,
    CancelledError,
    HakoError,
    LoadCancelledError,
    ModelDamagedError,
    ModelFailedError,
    ModelQuarantinedError,
)
from appliance.inference.crashes import CRASHES
from appliance.inference.engine import EngineSpec, Loaded
from appliance.inference.grants import Grant, Stage
from appliance.inference.loading import Loading
from appliance.inference.manifest import Manifest
from appliance.inference.runner import Runner
from appliance.inference.spawn import Child
from appliance.inference.terms import Terms
from tests.simulators.waiting import eventually

MANIFEST = Manifest.model_validate(
    {
        "id": "talker", "name": "Talker", "kind": "chat", "engine": "scripted", "entry": "script", "licence": "MIT",
        "files": {"script": {"sha256": "0" * 64, "size": 5}}, "source": "test", "languages": ["en"], "context": 100,
    }
)  # fmt: skip


SPEC = EngineSpec(
    model="talker", kind="chat", engine="scripted", folder="/none", entry="script", socket="", api_key="",
    threads=1, parallel=2, context=100, dimensions=0, provider="cpu", memory_bytes=1 << 40,
)  # fmt: skip
TERMS = Terms(spec=SPEC, places=2, memory_limit=1 << 40)


class FakeChild:
    """A child without a process; `die` is what a crash looks like."""

    def __init__(self, exited: Callable[[Child], None]) -> None:
        self.pid = os.getpid()
        self.started = 0.0
        self.loaded = Loaded("cpu", 100)
        self.fell_back = False
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
        self.specs: list[EngineSpec] = []
        self.error: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.starts = 0
        self.looks = True
        """While the gate is closed, whether anybody still wants it."""

    def __call__(
        self, _manifest: Manifest, spec: EngineSpec, exited: Callable[[Child], None], loading: Loading
    ) -> Child:
        self.starts += 1
        self.specs.append(spec)
        while not self.gate.wait(0.01):
            if self.looks:
                loading.demand_wanted()
        if self.error:
            raise self.error
        self.children.append(FakeChild(exited))
        return cast("Child", self.children[-1])


@pytest.fixture
def launcher() -> Launcher:
    return Launcher()


@pytest.fixture
def runner(launcher: Launcher) -> Iterator[Runner]:
    runner = Runner(MANIFEST, TERMS, launcher, backoff_seconds=0.01)
    yield runner
    runner.stop()


def patient(_stage: Stage, _place: int, _seconds: float | None) -> bool:
    return True


def ask(runner: Runner, who: str = "alice") -> Grant:
    """A place for somebody who waits as long as it takes."""
    return runner.lease(who, patient)


class Waiter:
    """Somebody in the queue, in a thread of their own."""

    def __init__(self, runner: Runner, who: str = "alice") -> None:
        self.grant: Grant | None = None
        self.error: HakoError | None = None
        self.told: list[tuple[Stage, int]] = []
        self.seconds: float | None = None
        self.patient = True
        self._who = who
        self._runner = runner
        self.thread = threading.Thread(target=self._wait)
        self.thread.start()

    def _wait(self) -> None:
        try:
            self.grant = self._runner.lease(self._who, self._tell)
        except HakoError as error:
            self.error = error

    def _tell(self, stage: Stage, place: int, seconds: float | None) -> bool:
        self.seconds = seconds
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
    first = ask(runner)
    second = ask(runner)
    assert first.child is second.child
    assert launcher.starts == 1
    assert runner.status() | {"memory_bytes": 0, "mapped_bytes": 0, "since": 0} == {
        "id": "talker", "state": "loaded", "pid": os.getpid(), "memory_bytes": 0, "mapped_bytes": 0, "provider": "cpu",
        "context": 100, "fell_back": False, "busy": 2, "waiting": 0, "error": None, "parallel": 2, "pinned": False,
        "since": 0, "idle_s": 0.0, "idle_limit_s": None, "answered": 0, "wait_s": None, "write_per_s": 0.0,
        "loading": None, "outdated": False,
    }  # fmt: skip


def test_who_waits_is_told_the_place_and_served_in_order(runner: Runner) -> None:
    grants = [ask(runner) for _ in range(2)]
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


def test_how_far_a_load_has_come_is_told_while_it_lasts(runner: Runner, launcher: Launcher) -> None:
    launcher.gate.clear()
    waiter = Waiter(runner)
    assert waiter.waits_at("loading", 1)
    told = runner.status()["loading"]
    assert (told["stage"], told["fraction"]) == ("checking", 0)
    assert 0 <= told["elapsed_s"] < 20
    launcher.gate.set()
    assert waiter.has_it()
    assert runner.status()["loading"] is None


def test_unloading_ends_a_load_with_its_own_error_and_the_next_to_ask_loads_anew(
    runner: Runner, launcher: Launcher
) -> None:
    launcher.gate.clear()
    waiter = Waiter(runner)
    assert waiter.waits_at("loading", 1)
    runner.unload()
    error = waiter.failed()
    assert isinstance(error, LoadCancelledError)
    assert error.params == {"name": "Talker"}
    told = runner.status()
    assert (told["state"], told["loading"], told["error"]) == ("idle", None, None)
    launcher.gate.set()
    assert ask(runner)
    assert launcher.starts == 2


def test_ending_loads_is_no_crash(runner: Runner, launcher: Launcher) -> None:
    launcher.gate.clear()
    for _ in range(CRASHES + 1):
        waiter = Waiter(runner)
        assert waiter.waits_at("loading", 1)
        runner.unload()
        waiter.failed()
    launcher.gate.set()
    assert ask(runner)


def test_who_leaves_the_queue_holds_up_nobody(runner: Runner) -> None:
    grants = [ask(runner) for _ in range(2)]
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
    def broken(_stage: Stage, _place: int, _seconds: float | None) -> bool:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        runner.lease("alice", broken)
    assert runner.status()["waiting"] == 0
    assert ask(runner)


def test_a_full_queue_says_busy(runner: Runner, launcher: Launcher) -> None:
    launcher.gate.clear()
    waiters = [Waiter(runner, f"person {n // 16}") for n in range(64)]
    assert eventually(lambda: runner.status()["waiting"] == 64)
    with pytest.raises(BusyError):
        ask(runner)
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
    assert ask(runner)
    assert runner.status()["error"] is None


def test_a_launcher_without_resources_is_a_failed_model(runner: Runner, launcher: Launcher) -> None:
    launcher.error = OSError("no more processes")
    with pytest.raises(ModelFailedError):
        ask(runner)


def test_a_crash_frees_its_places_and_the_next_answer_works(runner: Runner, launcher: Launcher) -> None:
    grants = [ask(runner) for _ in range(2)]
    launcher.children[0].die()
    assert runner.status()["busy"] == 0
    again = ask(runner)
    assert again.child is not grants[0].child
    for grant in grants:
        runner.release(grant)
    assert runner.status()["busy"] == 1


def test_nobody_is_sent_to_a_child_that_is_about_to_be_dead(runner: Runner, launcher: Launcher) -> None:
    runner.release(ask(runner))
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
        runner.release(ask(runner))
        launcher.children[-1].die()
    assert runner.status()["state"] == "quarantined"
    assert runner.status()["error"] == {"code": "HK-MOD-004", "params": {"name": MANIFEST.name}}
    with pytest.raises(ModelQuarantinedError):
        ask(runner)
    assert launcher.starts == CRASHES
    runner.load(patient)
    assert runner.status()["state"] == "loaded"


def test_dying_while_loading_counts_as_a_crash_and_damage_does_not(runner: Runner, launcher: Launcher) -> None:
    launcher.error = ModelDamagedError(name="Talker")
    for _ in range(CRASHES + 1):
        with pytest.raises(ModelDamagedError):
            ask(runner)
    launcher.error = ModelFailedError(name="Talker")
    for _ in range(CRASHES - 1):
        with pytest.raises(ModelFailedError):
            ask(runner)
    with pytest.raises(ModelQuarantinedError):
        ask(runner)


def test_a_model_that_is_kept_comes_back_by_itself(runner: Runner, launcher: Launcher) -> None:
    runner.load(patient)
    launcher.children[0].die()
    assert eventually(lambda: runner.status()["state"] == "loaded")
    assert len(launcher.children) == 2


def test_a_model_that_is_not_kept_stays_away_until_it_is_asked_for(runner: Runner, launcher: Launcher) -> None:
    runner.release(ask(runner))
    launcher.children[0].die()
    assert not eventually(lambda: runner.status()["state"] == "loaded", within_s=0.2)
    assert ask(runner)


def test_unloading_lets_answers_end_and_starts_none(runner: Runner, launcher: Launcher) -> None:
    grant = ask(runner)
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
        runner.release(ask(runner))
        runner.unload()
        launcher.children[-1].die()  # the watcher of a stopped child reports its end as well
    assert runner.status()["state"] == "idle"


def test_a_child_over_its_limit_is_killed(launcher: Launcher) -> None:
    runner = Runner(
        MANIFEST, dataclasses.replace(TERMS, memory_limit=1000), launcher
    )  # this very process is far larger
    runner.release(ask(runner))
    runner.watch_memory()
    assert not launcher.children[0].alive
    assert runner.status()["pid"] is None
    runner.stop()


def test_a_box_that_stops_ends_the_child_and_whoever_waits(runner: Runner, launcher: Launcher) -> None:
    for _ in range(2):
        ask(runner)
    waiter = Waiter(runner)
    assert waiter.waits_at("queued", 1)
    runner.stop()
    assert isinstance(waiter.failed(), ModelFailedError)
    assert launcher.children[0].stopped.is_set()


def test_a_child_that_finishes_loading_when_the_box_stops_is_ended(runner: Runner, launcher: Launcher) -> None:
    launcher.gate.clear()
    launcher.looks = False
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
        ask(runner)
    launcher.error = None
    assert ask(runner).child is cast("object", launcher.children[-1])


# -- turns, and how long they take


def test_twenty_waiting_requests_of_one_cost_another_one_turn_and_no_more(runner: Runner) -> None:
    held = [ask(runner) for _ in range(2)]
    alices = [Waiter(runner) for _ in range(16)]
    assert eventually(lambda: runner.status()["waiting"] == 16)
    with pytest.raises(BusyError):
        ask(runner)
    bob = Waiter(runner, "bob")
    assert bob.waits_at("queued", 2)
    runner.release(held[0])
    assert bob.waits_at("queued", 1)
    assert sum(alice.grant is not None for alice in alices) == 1
    runner.release(held[1])
    assert bob.has_it()
    for waiter in alices:
        waiter.patient = False
    for waiter in alices:
        waiter.thread.join(20)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """`later(seconds)`: so much time has passed."""
    passed = [0.0]
    monkeypatch.setattr(clock, "monotonic", lambda: time.monotonic() + passed[0])

    def jump(seconds: float) -> None:
        passed[0] += seconds

    return jump


def test_the_wait_is_told_by_how_long_places_were_held(runner: Runner, later: Callable[[float], None]) -> None:
    first, second = ask(runner), ask(runner)
    waiter = Waiter(runner, "bob")
    assert waiter.waits_at("queued", 1)
    assert waiter.seconds is None
    assert runner.status()["wait_s"] is None
    later(30)
    runner.release(first)
    assert waiter.has_it()
    assert runner.status()["wait_s"] == pytest.approx(15, abs=5)
    assert runner.status()["answered"] == 1
    third = Waiter(runner, "carol")
    fourth = Waiter(runner, "dave")
    assert eventually(lambda: runner.status()["waiting"] == 2)
    assert eventually(lambda: third.seconds is not None and fourth.seconds is not None)
    assert sorted([third.seconds or 0, fourth.seconds or 0]) == pytest.approx([15, 30], abs=5)
    runner.release(second)
    assert eventually(lambda: third.grant is not None or fourth.grant is not None)
    for waiting in (third, fourth):
        waiting.patient = False
        waiting.thread.join(20)


def test_a_place_that_is_free_costs_no_wait(runner: Runner) -> None:
    runner.release(ask(runner))
    assert runner.status()["wait_s"] == 0.0
    assert runner.status()["answered"] == 1


def test_loading_by_hand_is_no_answer(runner: Runner) -> None:
    runner.load(patient)
    assert runner.status()["answered"] == 0


# -- idle models, and those that are to be run otherwise


def timed(runner: Runner, **changes: float | None) -> None:
    """New terms about idle time."""
    runner.terms = dataclasses.replace(TERMS, **changes)  # type: ignore[arg-type]


def test_a_model_that_nobody_asks_is_unloaded_and_loaded_again_by_the_next(
    runner: Runner, launcher: Launcher, later: Callable[[float], None]
) -> None:
    timed(runner, idle_seconds=60)
    grant = ask(runner)
    later(61)
    runner.tend()
    assert runner.status()["state"] == "loaded"  # somebody has a place
    assert runner.status()["idle_s"] == 0.0
    runner.release(grant)
    later(50)
    runner.tend()
    assert runner.status()["idle_s"] >= 50
    assert runner.status()["since"] >= 111
    later(11)
    runner.tend()
    assert runner.status()["state"] == "idle"
    assert launcher.children[0].stopped.is_set()
    assert ask(runner).child is cast("object", launcher.children[1])


@pytest.mark.parametrize(("own", "state"), [(None, "loaded"), (0.0, "loaded"), (30.0, "idle")])
def test_a_model_that_is_kept_or_pinned_goes_by_its_own_idle_time_only(
    runner: Runner, later: Callable[[float], None], own: float | None, state: str
) -> None:
    runner.load(patient)
    timed(runner, idle_seconds=60, own_idle_seconds=own)
    later(3600)
    runner.tend()
    assert runner.status()["state"] == state
    runner.unload()
    runner.release(ask(runner))
    runner.terms = dataclasses.replace(runner.terms, pinned=True)
    later(3600)
    runner.tend()
    assert runner.status()["state"] == state


def test_new_terms_wait_until_the_model_is_idle(runner: Runner, launcher: Launcher) -> None:
    grant = ask(runner)
    runner.terms = dataclasses.replace(TERMS, spec=dataclasses.replace(SPEC, context=50, parallel=1), places=1)
    runner.tend()
    second = ask(runner)  # by the old terms there is a second place
    assert second.child is grant.child
    runner.release(grant)
    runner.tend()
    assert len(launcher.children) == 1
    runner.release(second)
    runner.tend()
    assert eventually(lambda: runner.status()["state"] == "loaded" and runner.status()["parallel"] == 1)
    assert launcher.children[0].stopped.is_set()
    assert [spec.context for spec in launcher.specs] == [100, 50]
    runner.tend()
    assert len(launcher.children) == 2


def test_loading_by_hand_brings_new_terms_at_once(runner: Runner, launcher: Launcher) -> None:
    runner.load(patient)
    runner.load(patient)
    assert len(launcher.children) == 1
    runner.terms = dataclasses.replace(TERMS, spec=dataclasses.replace(SPEC, threads=2))
    runner.load(patient)
    assert [spec.threads for spec in launcher.specs] == [1, 2]


def test_terms_that_a_child_is_not_told_load_nothing_anew(runner: Runner, launcher: Launcher) -> None:
    runner.release(ask(runner))
    runner.terms = dataclasses.replace(TERMS, pinned=True)
    runner.tend()
    assert runner.status()["pinned"] is True
    assert launcher.starts == 1


def test_only_a_model_that_nobody_uses_makes_room(runner: Runner, launcher: Launcher) -> None:
    assert not runner.unload_if_idle()
    grant = ask(runner)
    assert runner.idle_since is None
    assert not runner.unload_if_idle()
    runner.release(grant)
    assert runner.idle_since is not None
    assert runner.unload_if_idle()
    assert launcher.children[0].stopped.is_set()


def test_whoever_asks_while_a_child_is_ending_gets_the_next_one(runner: Runner, launcher: Launcher) -> None:
    runner.release(ask(runner))
    ending, gone = threading.Event(), threading.Event()
    child = launcher.children[0]

    def stop() -> None:
        ending.set()
        assert gone.wait(20)

    child.stop = stop  # type: ignore[method-assign]
    leaving = threading.Thread(target=runner.unload_if_idle)
    leaving.start()
    assert ending.wait(20)
    waiter = Waiter(runner)
    assert waiter.waits_at("loading", 1)
    assert launcher.starts == 1  # two of them might be too much for the box
    gone.set()
    leaving.join(20)
    assert waiter.has_it()
    assert launcher.starts == 2


def test_what_needs_no_place_is_served_beside_all_answers_and_counts_as_none(runner: Runner) -> None:
    held = [ask(runner), ask(runner)]
    waiter = Waiter(runner, "bob")
    assert waiter.waits_at("queued", 1)
    beside = runner.lease("bob", patient, aside=True)
    status = runner.status()
    assert (status["busy"], status["waiting"]) == (2, 1)
    runner.release(beside)
    status = runner.status()
    assert (status["answered"], status["wait_s"], waiter.grant) == (0, None, None)
    runner.release(held[0])
    assert waiter.has_it()
    assert waiter.grant
    runner.release(waiter.grant)
    runner.release(held[1])


def test_what_needs_no_place_has_the_model_loaded_and_kept_until_it_is_done(runner: Runner, launcher: Launcher) -> None:
    beside = runner.lease("alice", patient, aside=True)
    assert launcher.starts == 1
    assert not runner.unload_if_idle()
    runner.release(beside)
    assert runner.unload_if_idle()
