"""Sessions of browsers: a random token there, its keyed digest here, an end after rest and after a month."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import apsw

from appliance import clock
from appliance.accounts import tokens
from appliance.accounts.users import COLUMNS, User, from_row
from appliance.errors import BusyError, DiskFullError, NotFoundError, NotSignedInError
from appliance.storage.database import Database
from appliance.vault.digests import check_key

IDLE_S: Final = 12 * 3600.0
ABSOLUTE_S: Final = 30 * 24 * 3600.0
SEEN_EVERY_S: Final = 60.0

# Absolute differences: when a wrong clock is set back, a session from the future must not live until then.
_ALIVE: Final = f"abs(:now - sessions.seen_at) < {IDLE_S} and abs(:now - sessions.created_at) < {ABSOLUTE_S}"


@dataclass(frozen=True)
class SessionInfo:
    """A session as its owner sees it. `id` names it and is no way in; times in seconds since the epoch."""

    id: str
    created_at: float
    seen_at: float
    user_agent: str


def _info(row: tuple[Any, ...]) -> SessionInfo:
    return SessionInfo(row[0], row[1], row[2], row[3])


class Sessions:
    """The account is read with every look, so a new role or a disabled account holds at once."""

    def __init__(self, database: Database, key: bytes) -> None:
        """Raises VaultDamagedError for a key of the wrong length."""
        self._database = database
        self._key = check_key(key)

    def start(self, user: User, user_agent: str) -> str:
        """A new session's token, which only the browser keeps. Sessions that have run out are cleared away.

        Raises:
            NotSignedInError: the account was deleted meanwhile.
        """
        token, now = tokens.new_token(), clock.now()
        with self._database.write() as connection:
            connection.execute(f"delete from sessions where not ({_ALIVE})", {"now": now})
            try:
                connection.execute(
                    "insert into sessions (token_hash, id, user_id, created_at, seen_at, user_agent)"
                    " values (?, ?, ?, ?, ?, ?)",
                    (tokens.digest(self._key, token), clock.new_id("ses"), user.id, now, now, user_agent),
                )
            except apsw.ConstraintError as error:
                raise NotSignedInError("account deleted") from error
        return token

    def resume(self, token: str) -> tuple[User, str]:
        """The person and the session's id.

        Raises:
            NotSignedInError: unknown, ended or run out, or the account is disabled.
        """
        token_hash, now = tokens.digest(self._key, token), clock.now()
        with self._database.read() as connection:
            row = connection.execute(
                f"select {COLUMNS}, sessions.id, sessions.seen_at from sessions join users on users.id = user_id"
                f" where token_hash = :hash and disabled_at is null and {_ALIVE}",
                {"hash": token_hash, "now": now},
            ).fetchone()
        if row is None:
            raise NotSignedInError("session")
        if abs(now - row[-1]) >= SEEN_EVERY_S:
            self._note_seen(token_hash, now)
        return from_row(row), str(row[-2])

    def end(self, token: str) -> None:
        """End the session of this token, if there is one."""
        with self._database.write() as connection:
            connection.execute("delete from sessions where token_hash = ?", (tokens.digest(self._key, token),))

    def end_one(self, user_id: str, session_id: str) -> None:
        """End one session of this person. Raises NotFoundError, also for another's."""
        with self._database.write() as connection:
            connection.execute("delete from sessions where id = ? and user_id = ?", (session_id, user_id))
            if not connection.changes():
                raise NotFoundError(session_id)

    def end_all(self, user_id: str) -> None:
        """Sign this person out everywhere."""
        with self._database.write() as connection:
            connection.execute("delete from sessions where user_id = ?", (user_id,))

    def present(self, within_s: float) -> int:
        """How many people have used the box in their browsers so lately."""
        with self._database.read() as connection:
            found = connection.execute(
                "select count(distinct user_id) from sessions where abs(? - seen_at) < ?", (clock.now(), within_s)
            ).get
        return int(found or 0)

    def list(self, user_id: str) -> Sequence[SessionInfo]:
        """The person's sessions that still hold, the last used one first."""
        with self._database.read() as connection:
            rows = connection.execute(
                f"select id, created_at, seen_at, user_agent from sessions where user_id = :user and {_ALIVE}"
                " order by seen_at desc, created_at desc, id",
                {"user": user_id, "now": clock.now()},
            ).fetchall()
        return [_info(row) for row in rows]

    def is_alive(self, session_id: str) -> bool:
        """Whether the session would still be resumed; for what goes on after the request that began it."""
        with self._database.read() as connection:
            return bool(
                connection.execute(
                    "select 1 from sessions join users on users.id = user_id"
                    f" where sessions.id = :id and disabled_at is null and {_ALIVE}",
                    {"id": session_id, "now": clock.now()},
                ).get
            )

    def _note_seen(self, token_hash: bytes, now: float) -> None:
        """A full disk or a busy database must not keep anybody from reading."""
        with suppress(DiskFullError, BusyError), self._database.write() as connection:
            connection.execute("update sessions set seen_at = ? where token_hash = ?", (now, token_hash))
