"""Updates as an operator deals with them: what runs here, what could, beginning, going back, and what is recorded."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import appliance
from appliance import durable, logs
from appliance.bundle.media import Place
from appliance.bundle.remembered import Remembered
from appliance.bundle.update import history, install, preview, snapshot
from appliance.bundle.update.history import Change
from appliance.bundle.update.preview import Preview
from appliance.bundle.update.release import Manifest
from appliance.bundle.update.root import Root
from appliance.bundle.update.state import BASE, RESTING, Phase, Places, Release, Update
from appliance.bundle.update.system_state import SystemPlaces
from appliance.config import Settings
from appliance.errors import (
    AuditBrokenError,
    BusyError,
    ContainerReleaseError,
    HakoError,
    IrreversibleError,
    LeavingSeenError,
    NoReleaseError,
    OwnModelError,
    ReleaseFloorError,
    TrustDamagedError,
    UnhealthyError,
    UpdateTrialError,
)
from appliance.gateway.gateway import Gateway
from appliance.inference.importing import demand_room
from appliance.machine.gap import State as GapState
from appliance.machine.helper import Tell
from appliance.storage import migrations, settings_store
from appliance.storage.audit import Audit
from appliance.storage.database import Database

log = logs.get(__name__)

PROBE: Final = "hako-probe"
"""The account that looks at a release on trial, made for each look and removed after it."""
BY_OPERATOR: Final = "operator"
"""Reason: an operator has taken it back."""
_MARK: Final = "release_mark"
_ENDED: Final = {Phase.COMMITTED: "update-committed", Phase.ROLLED_BACK: "update-rolled-back"}
"""The two ends of an update, and the actions that record them."""
_BAD: Final = frozenset({"failed", "quarantined"})


NoWay = Literal["none", "irreversible", "schema", "floor"]
"""Why nobody can go back: no release before, this one says so, the database is too new for it, a weakness is closed."""


@dataclass(frozen=True)
class Standing:
    """What runs here and how far an update is. `ready` can be started; `back` can be gone back to.

    `changes`: how the last ones ended, the newest first.
    """

    running: Release
    update: Update
    floor: int
    ready: Release | None
    back: Release | None
    no_way: NoWay | None
    changes: tuple[Change, ...]


class Updates:
    """Safe to share between threads; web asks, worker installs, the launcher does the rest."""

    def __init__(
        self, settings: Settings, database: Database, audit: Audit, gateway: Gateway, remembered: Remembered
    ) -> None:
        self.places = Places(settings.releases, settings.data_dir)
        self._settings, self._database, self._audit = settings, database, audit
        self._gateway, self._remembered = gateway, remembered
        self.root = Root(settings)

    @property
    def running(self) -> Release:
        """This release, as it says of itself; the folder that it lies in may be another's only while it is changed."""
        return Release(
            version=appliance.__version__,
            counter=appliance.COUNTER,
            schema=len(migrations.STEPS),
            reads_from=migrations.READS_FROM,
            name=self.places.current,
        )

    @property
    def mark(self) -> tuple[int, int]:
        """The highest counter that was installed for good here, and the security floor; both are kept twice.

        Raises:
            TrustDamagedError: the memory of the publisher can't be believed.
        """
        (counter, floor), remembered = mark_of(self._database), self._remembered.mark()
        return max(counter, remembered[0], appliance.COUNTER), max(floor, remembered[1])

    def standing(self) -> Standing:
        """Also records how the last update has ended, if that isn't yet."""
        self.settle()
        update, floor, back = self.places.read(), self.mark[1], self._back()
        changes = tuple(history.of(self._database))
        no_way = back if isinstance(back, str) else "floor" if back.counter < floor else None
        way = back if isinstance(back, Release) and no_way is None else None
        return Standing(self.running, update, floor, self._ready(update), way, no_way, changes)

    # -- installing, in the worker

    def demand_resting(self) -> None:
        """Raises UpdateTrialError while the box is between two releases; SystemUnderWayError, the machine two systems.

        Never both at once: nobody could tell which of them has broken something.
        """
        if self.places.read().phase not in RESTING:
            raise UpdateTrialError
        SystemPlaces(self.places.root).demand_resting()

    def install(
        self,
        release: Release,
        manifest: Manifest,
        files: Path,
        actor: str,
        tell: Callable[[], None],
        about: Mapping[str, Any],
    ) -> None:
        """Install a release beside the running one; an operator then says when. Repeating it does no harm.

        `about`: what its bundle says of it, see `preview.about`.

        Raises:
            UpdateTrialError: not while another one is on trial.
            ReleaseFailedError, DiskFullError: as `install.install`.
        """
        with self._staged(release, actor) as is_new:
            if is_new:
                install.remove_others(self.places, [release.name])
                install.install(self.places, release, manifest, files, tell)
                self.places.note_about(release.name, dict(about))

    def have_installed(self, release: Release, place: Place, actor: str, tell: Tell, *, stale: bool) -> None:
        """The same by root's helper, which reads the medium itself and believes nothing of what was found here.

        Raises:
            UpdateTrialError: not while another one is on trial.
            HakoError: as `Root.install`.
        """
        with self._staged(release, actor) as is_new:
            if is_new:
                self.root.install(release, place, tell, stale=stale)

    @contextmanager
    def _staged(self, release: Release, actor: str) -> Iterator[bool]:
        """While a release is installed; whether there is anything to do."""
        self.settle()
        if release.name == self.places.current:
            yield False
            return
        with self.places.held() as held:
            if held.now.phase not in RESTING:
                raise UpdateTrialError
            held.change(phase=Phase.STAGED, target=release, reason="", actor=actor)
        yield True
        with self.places.held() as held:
            if held.now.phase is Phase.STAGED and held.now.target == release:
                held.change(phase=Phase.INSTALLED)

    # -- changing, from the web process

    def demand_machine(self) -> None:
        """Raises ContainerReleaseError: the next release of a container is a new image, which its host starts."""
        if self._settings.container:
            raise ContainerReleaseError

    def preview(self, gap: GapState, *, back: bool = False) -> Preview:
        """What changing to the release that is installed would mean, or going back to the one before.

        Raises:
            NoReleaseError: there is none.
            UpdateTrialError: another change is on its way.
            ContainerReleaseError: as `demand_machine`.
        """
        self.demand_machine()
        self.demand_resting()
        standing = self.standing()
        after = standing.back if back else standing.ready
        if after is None:
            raise NoReleaseError
        known = (self.places, standing.running, after, standing.changes)
        if back:  # also from a box that is unwell: it may be what makes it well
            return preview.backward(*known, ())
        blockers: list[HakoError] = [error for _what, error in self._unwell(gap)]
        for demand in (self._demand_room, lambda: self._demand_floor(after)):
            try:
                demand()
            except HakoError as error:
                blockers.append(error)
        return preview.forward(*known, blockers)

    def demand_healthy(self, gap: GapState) -> None:
        """An update must not begin on a box that is unwell: nobody could tell what made it so.

        Raises:
            UnhealthyError: as `demand_well`.
            DiskFullError: no room for the snapshot.
        """
        self.demand_well(gap)
        self._demand_room()

    def demand_well(self, gap: GapState) -> None:
        """Raises UnhealthyError, naming the first thing that is wrong."""
        for what, error in self._unwell(gap):
            raise UnhealthyError(error.detail, what=what) from error

    def _unwell(self, gap: GapState) -> Iterator[tuple[str, HakoError]]:
        """All that is wrong, each with the word that an operator knows it by."""
        if gap == "open":
            yield "egress", LeavingSeenError()
        try:
            if not (log := self._audit.verify()).is_sound:
                raise AuditBrokenError(count=len(log.open))
        except HakoError as error:
            yield error.code, error
        try:
            models = {name: info for info in self._gateway.models() for name in (info.id, *info.aliases)}
        except HakoError as error:
            yield error.code, error
            return
        for name in self._gateway.defaults.own():
            if name not in models or models[name].state in _BAD:
                yield name, OwnModelError(name=name)

    def _demand_room(self) -> None:
        """Raises DiskFullError: no room for the snapshot."""
        durable.folder(self.places.root)
        demand_room(self.places.root, snapshot.size(self.places.data))

    def start(self, digest: str, actor: str, gap: GapState, *, irreversible: bool = False) -> Update:
        """Have the box change to the release that is installed; it ends within seconds and comes back as that one.

        Raises:
            NoReleaseError: no such release is installed.
            UpdateTrialError: another change is on its way.
            ReleaseFloorError: the floor has risen above it.
            IrreversibleError: it says that there is no way back, and that was not agreed to.
            UnhealthyError, DiskFullError: as `demand_healthy`.
            HakoError: root doesn't agree, as `Root.agree`; or as `demand_machine`.
        """
        self.demand_machine()
        self.settle()
        self.demand_resting()
        release = self._ready(self.places.read())
        if release is None or release.digest != digest:
            raise NoReleaseError
        self._demand_floor(release, actor)
        if release.irreversible and not irreversible:
            raise IrreversibleError
        self.demand_healthy(gap)
        if self.root.installs:
            self.root.agree(digest)
        self._audit.record(actor, "update-started", release.digest, version=release.version, counter=release.counter)
        before = self.places.current
        if before == BASE:
            self.places.note_base(self.running)
        return self._change(
            release, phase=Phase.WANTED, target=release, before=before, reason="", actor=actor, recorded=True
        )

    def roll_back(self, actor: str) -> Update:
        """Go back to the release before, which is still here. Nothing that people have done is taken back.

        Raises:
            NoReleaseError: there is none, or it is too old for what this one has made of the database.
            ReleaseFloorError: it is below the security floor.
            UpdateTrialError: a change is on its way; one on trial is taken back by the launcher.
            ContainerReleaseError: as `demand_machine`.
        """
        self.demand_machine()
        self.settle()
        update = self.places.read()
        if update.is_trial:
            with self.places.held() as held:
                if held.now.is_trial:
                    held.change(phase=Phase.ROLLING_BACK, reason=BY_OPERATOR, actor=actor)
                return held.now
        self.demand_resting()
        back, running = self._back(), self.places.release(self.places.current)
        if isinstance(back, str) or running is None:
            raise NoReleaseError
        self._demand_floor(back, actor)
        self._audit.record(actor, "update-taken-back", running.digest, version=back.version, counter=back.counter)
        return self._change(
            update.target,
            phase=Phase.ROLLING_BACK,
            target=running,
            before=back.name,
            reason=BY_OPERATOR,
            actor=actor,
            times={},
        )

    def begin(self) -> None:
        """Once in a process: what ended while no box ran is recorded. Trouble with that must not keep a box down."""
        try:
            self.settle()
        except HakoError as error:
            log.warning("update_not_recorded", code=error.code, detail=error.detail)

    def settle(self) -> None:
        """Record how an update has ended: in the record of actions, and what may never run again."""
        update = self.places.read()
        if update.recorded or update.phase not in _ENDED:
            return
        target = update.target
        if update.phase is Phase.COMMITTED:
            raise_mark(self._database, self.mark)
            raise_mark(self._database, (target.counter, target.floor))
            if target.publisher:
                try:
                    self._remembered.installed(target.publisher, target.counter, target.floor)
                except (BusyError, TrustDamagedError):
                    return  # the database knows it by now; the other copy follows with the next look
        details: dict[str, str | float] = {"version": target.version, "counter": target.counter}
        if update.reason:
            details["reason"] = update.reason
        self._audit.record(update.actor or "launcher", _ENDED[update.phase], target.digest, **details)
        history.add(self._database, history.ended(self.places, update))
        with self.places.held() as held:
            if held.now == update:
                held.change(recorded=True)

    def _change(self, release: Release, **changes: object) -> Update:
        with self.places.held() as held:
            if held.now.phase not in RESTING or held.now.target != release:
                raise UpdateTrialError
            return held.change(**changes)

    def _demand_floor(self, release: Release, actor: str = "") -> None:
        """That `actor` has tried is recorded: it may be an attacker who wants a known weakness back."""
        floor = self.mark[1]
        if release.counter < floor:
            told: dict[str, str | float] = {"version": release.version, "counter": release.counter, "floor": floor}
            if actor:
                self._audit.record(actor, "update-refused", release.digest, **told)
            raise ReleaseFloorError(version=release.version, counter=release.counter, floor=floor)

    def _ready(self, update: Update) -> Release | None:
        """What lies installed and waits for a word; also one that was taken back, which may be tried again."""
        there = update.phase in (Phase.INSTALLED, Phase.ROLLED_BACK) and bool(update.target.name)
        ready = there and update.target.name != self.places.current and self.places.is_whole(update.target.name)
        return update.target if ready else None

    def _back(self) -> Release | NoWay:
        """The release before, if it is still here and the one that runs and the database allow it."""
        now, name = self.places.current, self.places.pointed("previous") or BASE
        running, before = self.places.release(now), self.places.release(name)
        if now == BASE or running is None or before is None or not self.places.is_whole(name):
            return "none"
        if running.irreversible:
            return "irreversible"
        return before if before.schema >= max(running.reads_from, self._database.reads_from) else "schema"


def mark_of(database: Database) -> tuple[int, int]:
    """The highest counter and the floor as the database knows them; 0 where it knows none."""
    counter, floor = settings_store.get(database, _MARK) or (0, 0)
    return int(counter), int(floor)


def raise_mark(database: Database, mark: tuple[int, int]) -> None:
    """Neither of both ever falls."""
    counter, floor = mark_of(database)
    settings_store.put(database, _MARK, [max(counter, mark[0]), max(floor, mark[1])])
