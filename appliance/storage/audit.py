"""The audit log: who did what, each entry chained to the one before under a key of its own, and confirmed."""

import json
import math
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from appliance import __version__, clock, logs
from appliance.errors import ConflictError, HakoError
from appliance.storage import audit_check, audit_export, audit_origin
from appliance.storage.audit_chains import COLUMNS, START, Chains
from appliance.storage.audit_check import Report
from appliance.storage.checkpoints import Checkpoint, Checkpoints, Witness
from appliance.storage.database import Database

log = logs.get(__name__)

BOX: Final = "box"
"""The actor of what the box does by itself."""
EVERY: Final = 100
"""Entries from one checkpoint to the next, at most."""
WITHIN_S: Final = 900
"""Seconds after which the next entry is confirmed at once."""

_TEXT_CHARS: Final = 200
_MOST: Final = 1000
_LAST_NUMBER: Final = (1 << 63) - 1
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


@dataclass(frozen=True)
class Entry:
    """One entry. `actor`: a user's id or a name; `at` in seconds since the epoch."""

    number: int
    at: float
    actor: str
    action: str
    target: str
    detail: dict[str, str | float]


class Audit:
    """Appends, reads and verifies; nothing here changes or removes an entry, and the database refuses to."""

    def __init__(self, database: Database, key: bytes, witness: Witness) -> None:
        """Raises VaultDamagedError for a key of the wrong length."""
        self._database = database
        self._chains = Chains(key)
        self._witness = witness
        self._checkpoints = Checkpoints(database, self._chains, witness)
        self.report: Report | None = None
        """Of the last look at the log in this process."""

    @property
    def public_key(self) -> bytes:
        """32 bytes that exports are verified with."""
        return self._witness.public

    def attest(self, context: bytes, data: bytes) -> bytes:
        """The box's signature under a statement of another kind, by the same key; see `Witness.attest`."""
        return self._witness.attest(context, data)

    def record(self, actor: str, action: str, target: str = "", **detail: str | float) -> None:
        """Append an entry; on the disk when this returns. Names, ids and figures only: never content or secrets.

        `action`: one of `audit_actions`. Where it comes from is added, see `audit_origin`.

        Texts are cut at 200 characters, and characters that could forge a line of a printed log are replaced.

        Raises:
            DiskFullError: it could not be stored; what was to be recorded must not go on.
        """
        told = {**audit_origin.noted(), **detail}
        clean = {name: _plain(value) if isinstance(value, str) else value for name, value in told.items()}
        stored = json.dumps(clean, ensure_ascii=False, sort_keys=True)
        with self._database.write() as connection:
            last = connection.execute("select number, hash from audit order by number desc limit 1").fetchone()
            number, previous = (last[0] + 1, last[1]) if last else (1, START)
            row = (number, clock.now(), _plain(actor), _plain(action), _plain(target), stored)
            connection.execute(
                f"insert into audit ({COLUMNS}, previous, hash) values (?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, previous, self._chains.keyed(previous, row)),
            )
            confirmed = connection.execute(
                "select number, at from audit_checkpoints order by serial desc limit 1"
            ).fetchone()
        if confirmed is None or number - confirmed[0] >= EVERY or not 0 <= row[1] - confirmed[1] < WITHIN_S:
            self._try_checkpoint()

    def checkpoint(self) -> Checkpoint | None:
        """Confirm every entry that there is; None if there is none.

        Raises:
            DiskFullError: no room; the next entry tries again.
        """
        return self._checkpoints.make()

    def begin(self) -> None:
        """The vault was opened: look whether the log is as it was, say so in the log, and confirm where it goes on.

        Nothing that is found keeps the box from its work, and neither does a full disk.
        """
        try:
            report = self.verify(whole=False)
            if not report.is_sound:
                keys = " ".join(found.key for found in report.open)
                log.error("audit_log_not_whole", findings=keys)
                self.record(BOX, "audit-not-whole", findings=keys)
            self.record(BOX, "box-opened", version=__version__)
            self.checkpoint()
        except (HakoError, OSError) as error:
            log.warning("audit_not_begun", kind=type(error).__name__)

    def end(self) -> None:
        """The box is about to stop: confirm what there is. A full disk doesn't keep it from stopping."""
        try:
            self.record(BOX, "box-stopped")
            self.checkpoint()
        except (HakoError, OSError) as error:
            log.warning("audit_not_ended", kind=type(error).__name__)

    def verify(self, *, whole: bool = True, told: Callable[[int, int], None] | None = None) -> Report:
        """Look whether the log is as it was. Not `whole`: all checkpoints, and the entries since the last of them.

        Notices entries that were changed, put in, moved or removed, also the newest and also all of them, down to the
        last checkpoint; and a database or a file of checkpoints that were put back to what they once were. Only when
        both were put back together it takes an export from before: see `audit_export.verify`.

        `told`: hears how many entries were looked at, of how many; what it raises ends the look.
        """
        self.report = audit_check.check(self._database, self._chains, self._witness, whole=whole, told=told)
        return self.report

    def accept(self, keys: Sequence[str], actor: str, reason: str) -> Report:
        """An operator has taken note of these findings, for this reason: from now on they are told as known.

        The log is confirmed anew as it is, so that nothing more can be changed behind the findings.

        Raises:
            ConflictError: by now there are others.
            DiskFullError: no room; nothing was accepted.
        """
        found = [each.key for each in self.verify().open]
        if not set(found) <= set(keys):
            raise ConflictError("other findings than were shown", name="audit")
        if found:
            self.record(actor, "audit-findings-accepted", findings=" ".join(found), reason=reason)
            self._checkpoints.make(found)
        return self.verify()

    def export(self, actor: str, name: str) -> Iterator[str]:
        """The whole log as lines of JSON that anybody can verify. `name`: what the box is called.

        Raises:
            DiskFullError: the export itself could not be recorded and confirmed.
        """
        self.record(actor, "audit-exported")
        self.checkpoint()
        return audit_export.write(self._database, self._chains, self._witness, name)

    def entries(
        self,
        limit: int = 200,
        before: int | None = None,
        actors: Sequence[str] = (),
        action: str = "",
        *,
        actions: Sequence[str] = (),
        since: float | None = None,
        until: float | None = None,
    ) -> Sequence[Entry]:
        """The newest entries first, at most 1000; `before` continues below the number of the last one shown.

        `actors`: only of these; `action`, `actions`: only this one, only these; `since`, `until`: only from that
        moment on, only before that moment, in seconds since the epoch.
        """
        wanted = (*actions, action) if action else actions
        limited = max(0, min(limit, _MOST))
        with self._database.read() as connection:
            rows = connection.execute(
                f"select {COLUMNS} from audit where number < ?1 and at >= ?2 and at < ?3"
                " and (?4 = '[]' or action in (select value from json_each(?4)))"
                " and (?5 = '[]' or actor in (select value from json_each(?5))) order by number desc limit ?6",
                (
                    _LAST_NUMBER if before is None else before,
                    -math.inf if since is None else since,
                    math.inf if until is None else until,
                    json.dumps(list(wanted)),
                    json.dumps(list(actors)),
                    limited,
                ),
            ).fetchall()
        return [_entry(row) for row in rows]

    def last_number(self) -> int:
        """Of the newest entry; 0 without entries."""
        with self._database.read() as connection:
            return int(connection.execute("select coalesce(max(number), 0) from audit").get)

    def newest(self) -> Checkpoint | None:
        """The checkpoint that was made last; None before the first."""
        with self._database.read() as connection:
            row = connection.execute("select line from audit_checkpoints order by serial desc limit 1").fetchone()
        return Checkpoint.parse(row[0]) if row else None

    def _try_checkpoint(self) -> None:
        """The entry is stored, so a checkpoint that can't be written doesn't stop what was recorded."""
        try:
            self.checkpoint()
        except (HakoError, OSError) as error:
            log.warning("audit_checkpoint_failed", kind=type(error).__name__)


def _entry(row: tuple[Any, ...]) -> Entry:
    return Entry(row[0], row[1], row[2], row[3], row[4], json.loads(row[5]))


def _plain(text: str) -> str:
    """One line that shows all it holds: no line breaks, terminal codes or reversed writing."""
    return "".join("\ufffd" if unicodedata.category(sign) in _UNSEEN else sign for sign in text[:_TEXT_CHARS])
