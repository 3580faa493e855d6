"""API keys of programs: shown once, stored as a keyed digest, with the rights of their owner or less."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

import apsw

from appliance import clock
from appliance.accounts import tokens
from appliance.accounts.scopes import WHOLE, Scope
from appliance.accounts.users import COLUMNS, User, from_row
from appliance.errors import BusyError, ConflictError, DiskFullError, NotFoundError, NotSignedInError
from appliance.storage.database import Database
from appliance.vault.digests import check_key

SECRET_PREFIX: Final = "hako_"  # noqa: S105 - what every key begins with, for people and for scanners of leaked keys
MAX_KEYS: Final = 50
USED_EVERY_S: Final = 60.0
_SHOWN_CHARS: Final = len(SECRET_PREFIX) + 6
_NAMES: Final = ("id", "user_id", "name", "prefix", "created_at", "used_at", "scope", "expires_at")
_COLUMNS: Final = ", ".join(f"api_keys.{name}" for name in _NAMES)
_ALIVE: Final = "token_hash = :hash and disabled_at is null and (expires_at is null or expires_at > :now)"


@dataclass(frozen=True)
class ApiKey:
    """A key as its owner sees it: `prefix` is how it begins; times in seconds since the epoch, None for never."""

    id: str
    user_id: str
    name: str
    prefix: str
    created_at: float
    used_at: float | None
    scope: Scope


def _api_key(row: tuple[Any, ...]) -> ApiKey:
    return ApiKey(row[0], row[1], row[2], row[3], row[4], row[5], Scope.from_stored(row[6], row[7]))


def _get(connection: apsw.Connection, user_id: str, key_id: str) -> ApiKey:
    row = connection.execute(
        f"select {_COLUMNS} from api_keys where id = ? and user_id = ?", (key_id, user_id)
    ).fetchone()
    if row is None:
        raise NotFoundError(key_id)
    return _api_key(row)


class ApiKeys:
    """The account is read with every look, so a disabled account's keys open nothing."""

    def __init__(self, database: Database, key: bytes) -> None:
        """Raises VaultDamagedError for a key of the wrong length."""
        self._database = database
        self._key = check_key(key)

    def create(self, user_id: str, name: str, scope: Scope = WHOLE) -> tuple[ApiKey, str]:
        """A new key and its secret, which can't be shown again.

        Raises:
            ConflictError: the person has 50 keys already.
        """
        secret = SECRET_PREFIX + tokens.new_word()
        made = ApiKey(clock.new_id("key"), user_id, name, secret[:_SHOWN_CHARS], clock.now(), None, scope)
        with self._database.write() as connection:
            if connection.execute("select count(*) from api_keys where user_id = ?", (user_id,)).get >= MAX_KEYS:
                raise ConflictError("too many keys", name=name)
            connection.execute(
                "insert into api_keys (id, user_id, name, prefix, created_at, scope, expires_at, token_hash)"
                " values (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    made.id,
                    user_id,
                    name,
                    made.prefix,
                    made.created_at,
                    scope.stored(),
                    scope.expires_at,
                    tokens.digest(self._key, secret),
                ),
            )
        return made, secret

    def list(self, user_id: str) -> Sequence[ApiKey]:
        """The person's keys, newest first."""
        with self._database.read() as connection:
            rows = connection.execute(
                f"select {_COLUMNS} from api_keys where user_id = ? order by created_at desc, rowid desc", (user_id,)
            ).fetchall()
        return [_api_key(row) for row in rows]

    def get(self, user_id: str, key_id: str) -> ApiKey:
        """One key of this person. Raises NotFoundError, also for another's."""
        with self._database.read() as connection:
            return _get(connection, user_id, key_id)

    def update(self, user_id: str, key_id: str, *, name: str | None = None, scope: Scope | None = None) -> ApiKey:
        """Change what is given; the secret stays, and requests from now on have the new scope.

        Raises:
            NotFoundError: not there, or another's.
        """
        with self._database.write() as connection:
            known = _get(connection, user_id, key_id)
            changed = replace(known, name=name or known.name, scope=scope or known.scope)
            connection.execute(
                "update api_keys set name = ?, scope = ?, expires_at = ? where id = ?",
                (changed.name, changed.scope.stored(), changed.scope.expires_at, key_id),
            )
        return changed

    def revoke(self, user_id: str, key_id: str) -> None:
        """Make a key of this person worthless. Raises NotFoundError, also for another's."""
        with self._database.write() as connection:
            connection.execute("delete from api_keys where id = ? and user_id = ?", (key_id, user_id))
            if not connection.changes():
                raise NotFoundError(key_id)

    def resolve(self, secret: str) -> tuple[User, ApiKey]:
        """The person behind a key, and the key with its scope.

        Raises:
            NotSignedInError: unknown, revoked or run out, or the account is disabled.
        """
        now = clock.now()
        with self._database.read() as connection:
            row = connection.execute(
                f"select {_COLUMNS}, {COLUMNS} from api_keys join users on users.id = user_id where {_ALIVE}",
                {"hash": tokens.digest(self._key, secret), "now": now},
            ).fetchone()
        if row is None:
            raise NotSignedInError("api key")
        key = _api_key(row)
        if key.used_at is None or abs(now - key.used_at) >= USED_EVERY_S:
            self._note_used(key.id, now)
        return from_row(row[len(_NAMES) :]), key

    def is_alive(self, secret: str) -> bool:
        """Whether the key still opens something; for what goes on after the request that began it."""
        with self._database.read() as connection:
            return bool(
                connection.execute(
                    f"select 1 from api_keys join users on users.id = user_id where {_ALIVE}",
                    {"hash": tokens.digest(self._key, secret), "now": clock.now()},
                ).get
            )

    def _note_used(self, key_id: str, now: float) -> None:
        """A full disk or a busy database must not keep a program from reading."""
        with suppress(DiskFullError, BusyError), self._database.write() as connection:
            connection.execute("update api_keys set used_at = ? where id = ?", (now, key_id))
