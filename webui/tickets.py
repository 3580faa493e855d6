"""Words that let a browser fetch one file by an ordinary link, after its person was asked for the password."""

import secrets
import threading
from typing import Final

from appliance.clock import monotonic
from appliance.errors import ExportLinkError

LASTS_S: Final = 120.0
"""From the password to the beginning of the file."""


class Tickets:
    """In memory only. One at a time for each session, good once, for that session, and not for long."""

    def __init__(self) -> None:
        self._given: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def give(self, session_id: str) -> str:
        """A new ticket; an earlier one of this session is worth nothing from now on."""
        ticket, now = secrets.token_hex(16), monotonic()
        with self._lock:
            self._given = {session: held for session, held in self._given.items() if held[1] > now}
            self._given[session_id] = (ticket, now + LASTS_S)
        return ticket

    def take(self, session_id: str | None, ticket: str) -> None:
        """Use it up. Raises ExportLinkError: used, too old, or another session's."""
        with self._lock:
            known, until = self._given.get(session_id or "", ("", 0.0))
            if not known or not secrets.compare_digest(known.encode(), ticket.encode()) or monotonic() >= until:
                raise ExportLinkError
            del self._given[session_id or ""]
