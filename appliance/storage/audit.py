"""The audit log: who did what, each entry chained to the one before under a key of its own."""

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from appliance import clock
from appliance.errors import StoreDamagedError
from appliance.storage.database import Database
from appliance.vault.digests import check_key, keyed_digest, same

_START: Final = bytes(32)
_TEXT_CHARS: Final = 200
_MOST: Final = 1000
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_COLUMNS: Final = "number, at, actor, action, target, detail"


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
    """Appends and reads; nothing here changes or removes an entry."""

    def __init__(self, database: Database, key: bytes) -> None:
        """Raises VaultDamagedError for a key of the wrong length."""
        self._database = database
        self._key = check_key(key)

    def record(self, actor: str, action: str, target: str = "", **detail: str | float) -> None:
        """Append an entry; on the disk when this returns. Names, ids and figures only: never content or secrets.

        Texts are cut at 200 characters, and characters that could forge a line of a printed log are replaced.

        Raises:
            DiskFullError: it could not be stored; what was to be recorded must not go on.
        """
        clean = {name: _plain(value) if isinstance(value, str) else value for name, value in detail.items()}
        stored = json.dumps(clean, ensure_ascii=False, sort_keys=True)
        with self._database.write() as connection:
            last = connection.execute("select number, hash from audit order by number desc limit 1").fetchone()
            number, previous = (last[0] + 1, last[1]) if last else (1, _START)
            row = (number, clock.now(), _plain(actor), _plain(action), _plain(target), stored)
            connection.execute(
                f"insert into audit ({_COLUMNS}, previous, hash) values (?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, previous, self._hash(previous, row)),
            )

    def verify(self) -> int:
        """Walk the whole chain; returns how many entries it has.

        Notices an entry that was changed, inserted, moved or removed. It can't notice that the newest entries
        were cut off, or all of them: the rest is a sound chain. Only an earlier count and hash that were kept
        elsewhere would show that.

        Raises:
            StoreDamagedError: at the first entry that doesn't fit.
        """
        count, expected = 0, _START
        with self._database.read() as connection:
            for *fields, previous, stored in connection.execute(
                f"select {_COLUMNS}, previous, hash from audit order by number"
            ):
                row = tuple(fields)
                count += 1
                sound = row[0] == count and same(previous, expected) and same(stored, self._hash(previous, row))
                if not sound:
                    raise StoreDamagedError(f"audit entry {row[0]}")
                expected = stored
        return count

    def entries(self, limit: int = 200, before: int | None = None) -> Sequence[Entry]:
        """The newest entries first, at most 1000; `before` continues below the number of the last one shown."""
        with self._database.read() as connection:
            rows = connection.execute(
                f"select {_COLUMNS} from audit where ?1 is null or number < ?1 order by number desc limit ?2",
                (before, max(0, min(limit, _MOST))),
            ).fetchall()
        return [_entry(row) for row in rows]

    def _hash(self, previous: bytes, row: tuple[Any, ...]) -> bytes:
        """HMAC over the entry before and this one; `detail` goes in as the text that is stored."""
        canonical = json.dumps(
            dict(zip(_COLUMNS.split(", "), row, strict=True)), ensure_ascii=False, sort_keys=True, separators=(",", ":")
        )
        return bytes.fromhex(keyed_digest(self._key, previous + canonical.encode("utf-8")))


def _entry(row: tuple[Any, ...]) -> Entry:
    return Entry(row[0], row[1], row[2], row[3], row[4], json.loads(row[5]))


def _plain(text: str) -> str:
    """One line that shows all it holds: no line breaks, terminal codes or reversed writing."""
    return "".join("\ufffd" if unicodedata.category(sign) in _UNSEEN else sign for sign in text[:_TEXT_CHARS])
