"""Signatures past their date: an operator may accept one statement of a publisher, for a day and with a reason.

Only the date is passed over. Who signed, what is older than what was seen, and the floor are judged as always.
"""

from dataclasses import dataclass
from typing import Final

from appliance import clock
from appliance.storage import settings_store
from appliance.storage.database import Database

HOLDS_S: Final = 24 * 3600.0
"""Long enough for a slow stick and for going on after a power cut; then somebody has to say so again."""
_NAME: Final = "bundle.stale"


@dataclass(frozen=True)
class Expired:
    """A statement past its date. `identity`: SHA-256 of what was signed, so that it stands for no other one."""

    identity: str
    issued: float
    """When its publisher signed it, seconds since the epoch."""


class Acceptances:
    """The last one counts, and only that."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, fingerprint: str, identity: str) -> None:
        """From now on this statement of this publisher is taken, though it is past its date."""
        until = clock.now() + HOLDS_S
        settings_store.put(self._database, _NAME, {"publisher": fingerprint, "statement": identity, "until": until})

    def holds(self, fingerprint: str, identity: str) -> bool:
        """Whether somebody has accepted just this one, not long ago."""
        said = settings_store.get(self._database, _NAME) or {}
        left = float(said.get("until", 0)) - clock.now()
        return 0 < left <= HOLDS_S and (said["publisher"], said["statement"]) == (fingerprint, identity)
