"""API keys of programs: shown once, stored as a keyed digest, with the rights of their owner or less."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from appliance import clock
from appliance.accounts import tokens
from appliance.accounts.users import COLUMNS, User, from_row
from appliance.errors import BusyError, ConflictError, DiskFullError, NotFoundError, NotSignedInError
from appliance.storage.database import Database
from appliance.vault.digests import check_key

SECRET_PREFIX: Final = "hako_"  # noqa: S105 - what every key begins with, for people and for scanners of leaked keys
MAX_KEYS: Final = 50
USED_EVERY_S: Final = 60.0
_SHOWN_CHARS: Final = len(SECRET_PREFIX) + 6
_COLUMNS: Final = "id, user_id, name, prefix, created_at, used_at"


@dataclass(frozen=True)
class ApiKey:
    """A key as its owner sees it: `prefix` is how it begins; times in seconds since the epoch, None for never."""

    id: str
    user_id: str
    name: str
    prefix: str
    created_at: float
    used_at: float | None


def _api_key(row: tuple[Any, ...]) -> ApiKey:
    return ApiKey(row[0], row[1], row[2], row[3], row[4], row[5])


class ApiKeys:
    """The account is read with every look, so a disabled account's keys open nothing."""

    def __init__(self, database: Database, key: bytes) -> None:
        """Raises VaultDamagedError for a key of the wrong length."""
        self._database = database
        self._key = check_key(key)

    def create(self, user_id: str, name: str) -> tuple[ApiKey, str]:
        """A new key and its secret, which can't be shown again.

        Raises:
            ConflictError: the person has 50 keys already.
        """
        secret = SECRET_PREFIX + tokens.new_word()
        made = ApiKey(clock.new_id("key"), user_id, name, secret[:_SHOWN_CHARS], clock.now(), None)
        with self._database.write() as connection:
            if connection.execute("select count(*) from api_keys where user_id = ?", (user_id,)).get >= MAX_KEYS:
                raise ConflictError("too many keys", name=name)
            connection.execute(
                f"insert into api_keys ({_COLUMNS}, token_hash) values (?, ?, ?, ?, ?, ?, ?)",
                (made.id, user_id, name, made.prefix, made.created_at, None, tokens.digest(self._key, secret)),
            )
        return made, secret

    def list(self, user_id: str) -> Sequence[ApiKey]:
        """The person's keys, newest first."""
        with self._database.read() as connection:
            rows = connection.execute(
                f"select {_COLUMNS} from api_keys where user_id = ? order by created_at desc, rowid desc", (user_id,)
            ).fetchall()
        return [_api_key(row) for row in rows]

    def revoke(self, user_id: str, key_id: str) -> None:
        """Make a key of this person worthless. Raises NotFoundError, also for another's."""
        with self._database.write() as connection:
            connection.execute("delete from api_keys where id = ? and user_id = ?", (key_id, user_id))
            if not connection.changes():
                raise NotFoundError(key_id)

    def resolve(self, secret: str) -> User:
        """The person behind a key.

        Raises:
            NotSignedInError: unknown or revoked, or the account is disabled.
        """
        now = clock.now()
        with self._database.read() as connection:
            row = connection.execute(
                f"select {COLUMNS}, api_keys.id, api_keys.used_at from api_keys join users on users.id = user_id"
                " where token_hash = ? and disabled_at is null",
                (tokens.digest(self._key, secret),),
            ).fetchone()
        if row is None:
            raise NotSignedInError("api key")
        if row[-1] is None or abs(now - row[-1]) >= USED_EVERY_S:
            self._note_used(row[-2], now)
        return from_row(row)

    def is_alive(self, secret: str) -> bool:
        """Whether the key still opens something; for what goes on after the request that began it."""
        with self._database.read() as connection:
            return bool(
                connection.execute(
                    "select 1 from api_keys join users on users.id = user_id"
                    " where token_hash = ? and disabled_at is null",
                    (tokens.digest(self._key, secret),),
                ).get
            )

    def _note_used(self, key_id: str, now: float) -> None:
        """A full disk or a busy database must not keep a program from reading."""
        with suppress(DiskFullError, BusyError), self._database.write() as connection:
            connection.execute("update api_keys set used_at = ? where id = ?", (now, key_id))
