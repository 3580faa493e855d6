"""Links of wall displays: a secret that shows how the box is and nothing else, here only as a keyed digest."""

import base64
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from appliance import clock
from appliance.accounts import tokens
from appliance.errors import BusyError, ConflictError, DiskFullError, NotFoundError, NotSignedInError
from appliance.storage.database import Database
from appliance.vault.digests import check_key

MAX_LINKS: Final = 20
SEEN_EVERY_S: Final = 60.0
_RANDOM_BYTES: Final = 20
"""In 32 letters and digits, which can be typed at a display that has nothing but a remote control."""
_COLUMNS: Final = "id, name, created_at, seen_at"


@dataclass(frozen=True)
class WallLink:
    """A link as operators see it: `seen_at` is when its display asked last; None for never."""

    id: str
    name: str
    created_at: float
    seen_at: float | None


def _link(row: tuple[Any, ...]) -> WallLink:
    return WallLink(row[0], row[1], row[2], row[3])


class WallLinks:
    """A link works until it is revoked: displays forget their cookies, and open it again as their first page."""

    def __init__(self, database: Database, key: bytes) -> None:
        """Raises VaultDamagedError for a key of the wrong length."""
        self._database = database
        self._key = check_key(key)

    def create(self, name: str) -> tuple[WallLink, str]:
        """A new link and its secret, which can't be shown again.

        Raises:
            ConflictError: there are 20 already.
        """
        secret = base64.b32encode(secrets.token_bytes(_RANDOM_BYTES)).decode("ascii").lower()
        made = WallLink(clock.new_id("wall"), name, clock.now(), None)
        with self._database.write() as connection:
            if connection.execute("select count(*) from wall_links").get >= MAX_LINKS:
                raise ConflictError("too many wall links", name=name)
            connection.execute(
                "insert into wall_links (id, name, token_hash, created_at) values (?, ?, ?, ?)",
                (made.id, name, self._digest(secret), made.created_at),
            )
        return made, secret

    def list(self) -> Sequence[WallLink]:
        """All that work, newest first."""
        with self._database.read() as connection:
            rows = connection.execute(
                f"select {_COLUMNS} from wall_links order by created_at desc, rowid desc"
            ).fetchall()
        return [_link(row) for row in rows]

    def revoke(self, link_id: str) -> WallLink:
        """Make a link worthless, with the displays that were opened by it. Raises NotFoundError."""
        with self._database.write() as connection:
            row = connection.execute(f"delete from wall_links where id = ? returning {_COLUMNS}", (link_id,)).fetchone()
        if row is None:
            raise NotFoundError(link_id)
        return _link(row)

    def resolve(self, secret: str) -> WallLink:
        """The link of a secret.

        Raises:
            NotSignedInError: unknown or revoked.
        """
        with self._database.read() as connection:
            row = connection.execute(
                f"select {_COLUMNS} from wall_links where token_hash = ?", (self._digest(secret),)
            ).fetchone()
        if row is None:
            raise NotSignedInError("wall link")
        link = _link(row)
        if link.seen_at is None or abs(clock.now() - link.seen_at) >= SEEN_EVERY_S:
            self._note_seen(link.id)
        return link

    def _digest(self, secret: str) -> bytes:
        return tokens.digest(self._key, f"wall:{secret}")

    def _note_seen(self, link_id: str) -> None:
        """A full disk or a busy database must not darken a display that would say so."""
        with suppress(DiskFullError, BusyError), self._database.write() as connection:
            connection.execute("update wall_links set seen_at = ? where id = ?", (clock.now(), link_id))
