"""A box to which anything happens in any order: sticks, cuts, clocks, trials, ways back, backups, restores.

Whatever comes, no release below the floor runs, no mark falls, and the box answers.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import appliance
from appliance import clock
from appliance.backup import restoring
from appliance.bundle.boxes.identity import Identity
from appliance.bundle.taking import Bundles
from appliance.bundle.update import install, switch
from appliance.bundle.update.state import BASE, RESTING, Phase
from appliance.bundle.update.updates import Updates
from appliance.errors import HakoError, TrustDamagedError
from appliance.gateway.gateway import Gateway
from appliance.jobs.worker import Worker
from appliance.knowledge.packed import PackedBases
from appliance.knowledge.web.reading import WarcReader
from appliance.knowledge.web.snapshots import Snapshots
from tests.simulators.backed_box import BackedBox, quiet
from tests.simulators.release_offers import Offered, install_at_once
from tests.simulators.sticks import Sticks

RELEASES: Final = (("0.2.0", 2, 0), ("0.3.0", 3, 2), ("0.4.0", 4, 4), ("0.5.0", 5, 4))
"""Version, counter and floor, each on a stick of its own, signed one after the other."""
DAYS: Final = (0, -20_000, -3, 300, 400, 9000)
CALLS: Final = ("fsync", "fdatasync", "rename", "unlink", "mkdir", "pwrite", "open")
_DAY_S: Final = 24 * 3600.0


class Cut(BaseException):
    """The power is gone: nothing after this reaches the disk."""


@contextmanager
def cut_at(number: int) -> Iterator[None]:
    """End the work at its call of that number; no cleaning up reaches the disk either."""
    calls = [0]
    with pytest.MonkeyPatch.context() as patch, suppress(Cut):
        for name in CALLS:
            patch.setattr(os, name, _counted(getattr(os, name), calls, number))
        yield


def _counted(real: Callable[..., Any], calls: list[int], most: int) -> Callable[..., Any]:
    def call(*given: Any, **more: Any) -> Any:
        calls[0] += 1
        if calls[0] >= most:
            raise Cut
        return real(*given, **more)

    return call


@cache
def _published() -> tuple[Sticks, tuple[tuple[Path, str], ...]]:
    """The same sticks for all examples; the folder goes with the process."""
    folder = Path(tempfile.mkdtemp(prefix="hako-sequence-"))
    sticks = Sticks(folder / "publisher", time.time())
    offered = Offered(folder / "releases", sticks, None)  # type: ignore[arg-type]
    made = []
    for version, counter, floor in RELEASES:
        stick = offered.stick(version, counter, floor=floor)
        made.append((stick, offered.digest))
    return sticks, tuple(made)


class AnySequence(RuleBasedStateMachine):
    """`box` is the one that runs; what it must never forget is kept beside it."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = Path(tempfile.mkdtemp(prefix="hako-box-"))
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(install, "install", install_at_once)
        self._patch.setattr(Updates, "demand_healthy", lambda *_given: None)  # no models here
        self._began, self._days = time.time(), 0
        self._patch.setattr(clock, "now", lambda: time.time() + self._days * _DAY_S)
        self._mark = (0, 0)
        self._backups = 0

    def teardown(self) -> None:
        self.box.close()
        self._patch.undo()
        shutil.rmtree(self._folder)

    @initialize()
    def begin(self) -> None:
        sticks, _made = _published()
        self._stick = self._folder / "backups"
        self._stick.mkdir()
        self._open()
        self.box.users.create("alice", "Alice", "operator", "correct-horse-battery-staple", "en")
        self.bundles.trust(sticks.publisher.anchor, sticks.fingerprint, "alice")

    def _open(self) -> None:
        self.box = BackedBox(self._folder / "box")
        settings = self.box.settings
        box, gateway = self.box, Gateway(settings)
        snapshots = Snapshots(box.database, box.blobs, WarcReader(settings.limits))
        packed, identity = PackedBases(box.database, box.blobs, "en"), Identity(box.key("packs"))
        self.bundles = Bundles(
            settings, box.database, box.audit, box.queue, gateway, packed, snapshots, box.key("trust"), identity
        )
        handler, backups = self.bundles.handler(), self.box.backups.handler()
        self.worker = Worker(self.box.queue, {handler.KIND: handler, backups.KIND: backups})
        self.box.queue.recover()
        self.bundles.updates.begin()

    def _restarted(self) -> None:
        self.box.close()
        self._open()

    @property
    def updates(self) -> Updates:
        return self.bundles.updates

    # -- what may happen

    @rule(number=st.integers(0, len(RELEASES) - 1))
    def a_stick_is_taken(self, number: int) -> None:
        stick, digest = _published()[1][number]
        with suppress(HakoError):
            self.bundles.take(str(stick), digest, "alice")
            self.worker.step()

    @rule(number=st.integers(0, len(RELEASES) - 1), call=st.integers(1, 60))
    def a_cut_while_a_stick_is_taken(self, number: int, call: int) -> None:
        with cut_at(call):
            self.a_stick_is_taken(number)
        self._restarted()

    @rule()
    def what_waits_is_worked_off(self) -> None:
        self.worker.step()

    @rule(number=st.integers(0, len(RELEASES) - 1))
    def a_stick_past_its_date_is_accepted(self, number: int) -> None:
        with suppress(HakoError):
            self.bundles.accept_stale(str(_published()[1][number][0]), "for the sequence", "alice")

    @rule(days=st.sampled_from(DAYS))
    def the_clock_jumps(self, days: int) -> None:
        self._days = days

    @rule()
    def somebody_says_go(self) -> None:
        with suppress(HakoError):
            ready = self.updates.standing().ready
            if ready is not None:
                self.updates.start(ready.digest, "alice", "closed")

    @rule(number=st.integers(0, len(RELEASES) - 1))
    def a_release_is_taken_and_kept(self, number: int) -> None:
        self.a_stick_is_taken(number)
        self.somebody_says_go()
        self.the_box_boots_and_is_looked_at(is_healthy=True)

    @rule()
    def somebody_goes_back(self) -> None:
        with suppress(HakoError):
            self.updates.roll_back("alice")

    @rule(is_healthy=st.booleans())
    def the_box_boots_and_is_looked_at(self, is_healthy: bool) -> None:
        places = self.updates.places
        if switch.advance(places).is_trial:
            if is_healthy:
                switch.commit(places)
            else:
                switch.give_up(places, "check-answer")
                switch.advance(places)
        self._restarted()

    @rule(call=st.integers(1, 30))
    def a_cut_while_it_boots(self, call: int) -> None:
        with cut_at(call):
            switch.advance(self.updates.places)
        self._restarted()

    @rule()
    def a_backup_is_made(self) -> None:
        with suppress(HakoError):
            self.box.backups.start("create", str(self._stick), "alice")
            self.worker.step()
            self._backups += 1

    @precondition(lambda self: self._backups)
    @rule(newest=st.booleans())
    def a_backup_is_put_back(self, newest: bool) -> None:
        repository = self.box.repository(self._stick)
        names = repository.ids()
        if not names or self.updates.places.read().phase not in RESTING:
            return
        vault = self.box.settings.vault_file.read_bytes()
        self.box.close()
        name = names[0 if newest else -1]
        replaced = restoring.restore(
            repository, self.box.key, vault, self._folder / "box", name, quiet, over=True
        ).replaced
        if replaced:
            shutil.rmtree(replaced)
        self._open()

    # -- what must always be so

    @invariant()
    def no_release_below_the_floor_runs_and_no_mark_falls(self) -> None:
        if not hasattr(self, "box"):
            return
        with suppress(HakoError):
            self.updates.settle()
        try:
            mark = self.updates.mark
        except TrustDamagedError as error:  # nobody has touched the memory, so it has to be believed
            raise AssertionError("the memory was lost") from error
        assert mark[0] >= self._mark[0]
        assert mark[1] >= self._mark[1]
        self._mark = mark
        current = self.updates.places.current
        release = self.updates.places.release(current)
        counter = appliance.COUNTER if current == BASE else release.counter if release else 0
        assert counter >= mark[1], (current, mark)

    @invariant()
    def the_box_answers(self) -> None:
        if not hasattr(self, "box"):
            return
        places = self.updates.places
        assert places.is_whole(places.current)
        assert [user.name for user in self.box.users.list()] == ["alice"]
        assert not any(found.kind == "entry" for found in self.box.audit.verify().open)
        phase = places.read().phase
        assert phase in Phase
        sound = self.bundles.anchors.demand().fingerprint
        assert sound == _published()[0].fingerprint
