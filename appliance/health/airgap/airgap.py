"""The air gap as a service of the box: what is seen of it now, the self-test, the signed report."""

import ctypes
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import appliance
from appliance import __version__, clock
from appliance.bundle.update.updates import Updates
from appliance.config import Settings
from appliance.errors import AirgapOpenError, DestinationsDamagedError, NotFoundError
from appliance.gateway import destinations
from appliance.health.airgap import installed, outside
from appliance.health.airgap.facts import Browser, Clock, Destinations, Named, Part, Record, Software, Test
from appliance.health.airgap.outside import Outside
from appliance.health.airgap.report import Report, Signed, sign, verdict
from appliance.health.airgap.selftest import SelfTest
from appliance.inference.client import InferenceClient
from appliance.jobs.queue import Queue
from appliance.storage import audit_actions, settings_store
from appliance.storage.audit import Audit
from appliance.storage.checkpoints import box_of
from appliance.storage.database import Database

_IMPORTS: Final = ("model-imported", "model-requantised")
_MOST: Final = 1000
_LAST: Final = "airgap-report"
_SANE_FROM: Final = 1_577_836_800
_TIMEX_BYTES: Final = 512
_TIME_ERROR: Final = 5


class AirGap:
    """Safe to share between threads."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        queue: Queue,
        audit: Audit,
        sent: Callable[[], int],
        updates: Updates,
    ) -> None:
        """`sent`: how many calls went to named destinations."""
        self._settings, self._audit, self._sent, self._updates = settings, audit, sent, updates
        self._database = database
        self._root = Path("/")
        self.test = SelfTest(
            database, queue, InferenceClient(settings.inference_socket), is_closed=settings.accounts.are_separate
        )

    @property
    def fingerprint(self) -> str:
        """Of the key that signs reports, to be noted outside of the box."""
        return box_of(self._audit.public_key)

    def run_test(self, actor: str) -> Test:
        """The self-test, now. Raises DiskFullError: it could not be kept."""
        found = self.test.run(self._outside().tried)
        result = AirgapOpenError.code if found.state == "error" else audit_actions.DONE
        self._audit.record(actor, "airgap-tested", result=result)
        return found

    def look(self, policy: str, *, check_files: bool = False) -> Report:
        """Everything as it is now. `policy`: what pages tell a browser.

        `check_files`: read every file of packages and models, and compare.
        """
        seen = self._outside()
        imports = [each for action in _IMPORTS for each in self._audit.entries(_MOST, action=action)]
        parts: dict[str, Part] = {
            "firewall": seen.firewall,
            "sockets": seen.sockets,
            "routes": seen.routes,
            "resolvers": seen.resolvers,
            "destinations": self._destinations(),
            "units": seen.units,
            "processes": seen.processes,
            "browser": Browser(state="ok", policy=policy),
            "test": self.test.last(),
            "software": self._software(check=check_files),
            "models": installed.models(self._settings.models, imports, check=check_files),
            "record": self._record(),
            "clock": _clock(),
        }
        return Report.model_validate(
            {
                "box": self.fingerprint,
                "name": self._settings.name,
                "organisation": self._settings.organisation,
                "version": __version__,
                "at": int(clock.now()),
                "verdict": verdict(parts),
                **parts,
            }
        )

    def make(self, actor: str, policy: str, *, check_files: bool = True) -> Signed:
        """A report that the box signs; that it was made is on record, with its digest.

        Raises:
            DiskFullError: it could not be recorded, so there is none.
        """
        self._audit.checkpoint()
        signed = sign(self.look(policy, check_files=check_files), self._audit)
        self._audit.record(actor, "airgap-reported", sha256=signed.digest)
        settings_store.put(self._database, _LAST, signed.whole)
        return signed

    def last(self) -> Signed:
        """The report that was made last. Raises NotFoundError: none was."""
        stored = settings_store.get(self._database, _LAST)
        if stored is None:
            raise NotFoundError("report")
        return Signed.of(stored)

    def _outside(self) -> Outside:
        place = outside.place(self._settings)
        return outside.read(place) if place else outside.look(self._root, self._settings)

    def _software(self, *, check: bool) -> Software:
        places = self._updates.places
        return installed.software(places.release(places.current) or self._updates.running, check=check)

    def _destinations(self) -> Destinations:
        try:
            known = destinations.Destinations(self._settings.destinations).known()
        except DestinationsDamagedError:
            return Destinations(state="unknown", why="unreadable")
        named = tuple(
            Named(
                name=each.name,
                url=each.url,
                address=each.address,
                models=tuple(model.name for model in each.models),
                kind=each.kind,
            )
            for each in known.values()
        )
        about = ("destination-named",) if named else ()
        return Destinations(state="warning" if named else "ok", about=about, named=named, sent=self._sent())

    def _record(self) -> Record:
        report, newest = self._audit.report, self._audit.newest()
        if newest is None:
            return Record(state="unknown", why="no-file")
        said = newest.statement
        sound = report.is_sound if report else None
        return Record(
            state="error" if sound is False else "ok" if sound else "unknown",
            why="not-asked" if sound is None else "",
            about=("record-broken",) if sound is False else (),
            sound=sound,
            entries=self._audit.last_number(),
            serial=said.serial,
            number=said.number,
            checkpoint=newest.statement.name,
            at=said.at,
        )


def _clock() -> Clock:
    now = int(clock.now())
    is_sane = now >= max(appliance.RELEASED, _SANE_FROM)
    return Clock(
        state="ok" if is_sane else "error",
        about=() if is_sane else ("clock-behind",),
        now=now,
        zone=time.strftime("%z"),
        synchronised=_synchronised(),
        released=appliance.RELEASED,
    )


def _synchronised() -> bool | None:
    """Whether the kernel's clock is led by another one; None where it doesn't say."""
    told = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return None if told < 0 else told != _TIME_ERROR
