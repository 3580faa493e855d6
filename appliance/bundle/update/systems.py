"""Whole systems as an operator deals with them: what runs, what waits, going back, and what is recorded of it."""

import threading
from typing import Any, Final

from appliance import logs
from appliance.bundle.media import Place
from appliance.bundle.update.root import Root
from appliance.bundle.update.system import Manifest
from appliance.bundle.update.system_state import Standing, SystemPlaces
from appliance.config import Settings
from appliance.errors import HakoError
from appliance.machine.helper import Tell
from appliance.storage import settings_store
from appliance.storage.audit import Audit
from appliance.storage.database import Database

log = logs.get(__name__)

_TAKEN: Final = "system_taken"
_RECORDED: Final = "system_recorded"


class Systems:
    """Safe to share between threads; web asks, worker takes, the machine's own `hako-slots` does the rest."""

    def __init__(self, settings: Settings, database: Database, audit: Audit, root: Root) -> None:
        self.places = SystemPlaces(settings.releases)
        self._database, self._audit, self._root = database, audit, root
        self._lock = threading.Lock()

    def standing(self) -> Standing | None:
        """None where the machine runs no image. Also records how the last system has ended, if that isn't yet."""
        standing = self.places.standing()
        if standing is not None:
            with self._lock:
                self._settle(standing)
        return standing

    def have_taken(
        self, manifest: Manifest, digest: str, publisher: str, place: Place, actor: str, tell: Tell, *, stale: bool
    ) -> None:
        """Have root bring it to where the machine puts it into its other slot. Repeating it does no harm.

        Raises:
            HakoError: as `Root.take_system`.
        """
        self._root.take_system(digest, publisher, place, tell, stale=stale)
        settings_store.put(self._database, _TAKEN, {"bundle": digest, "actor": actor})
        self._audit.record(actor, "system-taken", digest, version=manifest.version, number=manifest.number)

    def back(self) -> None:
        """Start the machine with its other slot's system, or drop what waits there. Raises as `Root.system_back`."""
        self.places.demand()
        self._root.system_back()

    def begin(self) -> None:
        """Once in a process: what ended while no box ran is recorded. Trouble with that must not keep a box down."""
        try:
            self.standing()
        except HakoError as error:
            log.warning("system_not_recorded", code=error.code, detail=error.detail)

    def _settle(self, standing: Standing) -> None:
        ended = standing.ended
        if ended is None or settings_store.get(self._database, _RECORDED) == ended.id:
            return
        taken: dict[str, Any] = settings_store.get(self._database, _TAKEN) or {}
        actor = str(taken["actor"]) if ended.bundle and taken.get("bundle") == ended.bundle else "launcher"
        told: dict[str, str | float] = {"version": ended.version, "number": ended.number}
        if ended.kept:
            self._audit.record(actor, "system-kept", ended.bundle, **told)
        else:
            self._audit.record(actor, "system-taken-back", ended.bundle, reason=ended.reason, **told)
        settings_store.put(self._database, _RECORDED, ended.id)
