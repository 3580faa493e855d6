"""Accounts: people with a role and a password; the box always keeps somebody who can run it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import apsw
from argon2 import PasswordHasher

from appliance import clock
from appliance.accounts.passwords import HASHER, MIN_PASSWORD, Passwords, demand_strong
from appliance.errors import ConflictError, LastOperatorError, NotFoundError, WrongPasswordError
from appliance.storage.database import Database

__all__ = ["COLUMNS", "MIN_PASSWORD", "Language", "Role", "User", "Users", "from_row"]

Role = Literal["operator", "member"]
Language = Literal["ja", "en"]

COLUMNS = (
    "users.id, users.name, users.display_name, users.role, users.language, users.theme, users.created_at,"
    " users.disabled_at is not null"
)


@dataclass(frozen=True)
class User:
    """A person's account. `name` is what they sign in with, in any case; `created_at` in seconds since the epoch."""

    id: str
    name: str
    display_name: str
    role: Role
    language: Language
    theme: str
    created_at: float
    disabled: bool


def from_row(row: tuple[Any, ...]) -> User:
    """A row of `COLUMNS`."""
    return User(row[0], row[1], row[2], row[3], row[4], row[5], row[6], bool(row[7]))


class Users:
    """The accounts of the box. Passwords are hashed outside of transactions, since that takes its time."""

    def __init__(self, database: Database, hasher: PasswordHasher = HASHER) -> None:
        """`hasher` sets the cost of a password hash; tests take a cheap one."""
        self._database = database
        self._passwords = Passwords(hasher)

    def create(self, name: str, display_name: str, role: Role, password: str, language: Language) -> User:
        """A new account.

        Raises:
            ConflictError: the name is taken, in whatever case.
            WeakPasswordError: short or easy to guess.
        """
        demand_strong(password, name, display_name)
        stored = self._passwords.hash(password)
        user = User(clock.new_id("usr"), name, display_name, role, language, "system", clock.now(), disabled=False)
        with self._database.write() as connection:
            if connection.execute("select 1 from users where name = ?", (name,)).get:
                raise ConflictError(name=name)
            connection.execute(
                "insert into users (id, name, display_name, role, password_hash, language, theme, created_at)"
                " values (?, ?, ?, ?, ?, ?, ?, ?)",
                (user.id, name, display_name, role, stored, language, user.theme, user.created_at),
            )
        return user

    def verify(self, name: str, password: str) -> User:
        """The person whom name and password belong to; the same work for unknown and disabled names.

        Raises:
            WrongPasswordError: they don't belong together, or the account is disabled.
        """
        with self._database.read() as connection:
            row = connection.execute(f"select {COLUMNS}, password_hash from users where name = ?", (name,)).fetchone()
        stored = row[-1] if row else None
        if not self._passwords.matches(stored, password) or row is None:
            raise WrongPasswordError
        user = from_row(row)
        if user.disabled:
            raise WrongPasswordError("disabled")
        if self._passwords.is_outdated(row[-1]):
            self._rehash(user.id, row[-1], password)
        return user

    def get(self, user_id: str) -> User:
        """Raises NotFoundError."""
        with self._database.read() as connection:
            return _get(connection, user_id)

    def list(self) -> Sequence[User]:
        """Everybody, by name."""
        with self._database.read() as connection:
            rows = connection.execute(f"select {COLUMNS} from users order by name").fetchall()
        return [from_row(row) for row in rows]

    def count(self) -> int:
        """How many accounts there are, disabled ones too."""
        with self._database.read() as connection:
            return int(connection.execute("select count(*) from users").get)

    def update(
        self,
        user_id: str,
        *,
        display_name: str | None = None,
        role: Role | None = None,
        language: Language | None = None,
        theme: str | None = None,
    ) -> User:
        """Change what is given. A new role holds from the person's next request on.

        Raises:
            NotFoundError: no such account.
            LastOperatorError: nobody could run the box any more.
        """
        with self._database.write() as connection:
            _get(connection, user_id)
            if role == "member":
                _demand_another_operator(connection, user_id)
            connection.execute(
                "update users set display_name = coalesce(?, display_name), role = coalesce(?, role),"
                " language = coalesce(?, language), theme = coalesce(?, theme) where id = ?",
                (display_name, role, language, theme, user_id),
            )
            return _get(connection, user_id)

    def disable(self, user_id: str, *, disabled: bool) -> User:
        """Shut an account, or open it again; its content stays.

        Raises:
            NotFoundError: no such account.
            LastOperatorError: nobody could run the box any more.
        """
        with self._database.write() as connection:
            _get(connection, user_id)
            if disabled:
                _demand_another_operator(connection, user_id)
                connection.execute(
                    "update users set disabled_at = coalesce(disabled_at, ?) where id = ?", (clock.now(), user_id)
                )
            else:
                connection.execute("update users set disabled_at = null where id = ?", (user_id,))
            return _get(connection, user_id)

    def set_password(self, user_id: str, password: str) -> None:
        """Replace the password; the caller ends the sessions.

        Raises:
            NotFoundError: no such account.
            WeakPasswordError: short or easy to guess.
        """
        user = self.get(user_id)
        demand_strong(password, user.name, user.display_name)
        stored = self._passwords.hash(password)
        with self._database.write() as connection:
            _get(connection, user_id)
            connection.execute("update users set password_hash = ? where id = ?", (stored, user_id))

    def delete(self, user_id: str) -> None:
        """Erase an account with its sessions, keys and chats; its bases are released before.

        Raises:
            NotFoundError: no such account.
            LastOperatorError: nobody could run the box any more.
        """
        with self._database.write() as connection:
            _get(connection, user_id)
            _demand_another_operator(connection, user_id)
            connection.execute("delete from users where id = ?", (user_id,))

    def _rehash(self, user_id: str, old: str, password: str) -> None:
        """Store the hash at today's cost, unless the password was changed meanwhile."""
        stored = self._passwords.hash(password)
        with self._database.write() as connection:
            connection.execute(
                "update users set password_hash = ? where id = ? and password_hash = ?", (stored, user_id, old)
            )


def _get(connection: apsw.Connection, user_id: str) -> User:
    row = connection.execute(f"select {COLUMNS} from users where id = ?", (user_id,)).fetchone()
    if row is None:
        raise NotFoundError(user_id)
    return from_row(row)


def _demand_another_operator(connection: apsw.Connection, user_id: str) -> None:
    active = connection.execute("select id from users where role = 'operator' and disabled_at is null").fetchall()
    if active == [(user_id,)]:
        raise LastOperatorError(user_id)
