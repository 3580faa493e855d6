"""Which publisher the box trusts: the root that an operator has set, and how much the box has learned of each one."""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from appliance import clock
from appliance.bundle.trust.statement import demand_sound_root
from appliance.errors import BundleInvalidError, ConflictError, FingerprintError, NoPublisherError
from appliance.storage.database import Database

LONGEST: Final = 512_000
"""Bytes of a root, as TUF bounds it."""
_COLUMNS: Final = "fingerprint, root, serial, set_by, set_at"


@dataclass(frozen=True)
class Anchor:
    """A root that was set. `serial`: of the newest memory of this publisher; an older one was put back by somebody."""

    fingerprint: str
    root: bytes
    serial: int
    set_by: str
    set_at: float


@dataclass(frozen=True)
class Described:
    """What a root says of itself, for the eyes of who sets it. `expires` in seconds since the epoch."""

    fingerprint: str
    version: int
    expires: float
    roles: dict[str, tuple[int, int]]
    """Role to how many keys it has, and how many of them must sign."""


class Anchors:
    """The table of roots; the only way to change which one counts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def current(self) -> Anchor | None:
        """The root that counts; None while nobody has set one."""
        with self._database.read() as connection:
            row = connection.execute(f"select {_COLUMNS} from anchors where is_current").fetchone()
        return _anchor(row) if row else None

    def serial(self, fingerprint: str) -> int:
        """How far the memory of a publisher has come; 0 for one that was never trusted."""
        with self._database.read() as connection:
            found = connection.execute("select serial from anchors where fingerprint = ?", (fingerprint,)).get
        return int(found or 0)

    def demand(self) -> Anchor:
        """The root that counts. Raises NoPublisherError."""
        anchor = self.current()
        if anchor is None:
            raise NoPublisherError
        return anchor

    def put(self, root: bytes, fingerprint: str, *, by: str, replaces: str = "") -> Anchor:
        """Trust this root from now on. What was learned of the one before is kept, and of this one, if it was set once.

        Raises:
            BundleInvalidError, BundleSignatureError: as `describe`.
            FingerprintError: `fingerprint` is not this root's, or `replaces` not that of the one that counts.
            ConflictError: it counts already.
        """
        with self._database.write() as connection:
            described = self.demand_fit(root, fingerprint, replaces)
            connection.execute("update anchors set is_current = 0 where is_current")
            connection.execute(
                "insert into anchors (fingerprint, root, set_by, set_at, is_current) values (?, ?, ?, ?, 1)"
                " on conflict (fingerprint) do update set set_by = excluded.set_by, set_at = excluded.set_at,"
                " is_current = 1",
                (described.fingerprint, root, by, clock.now()),
            )
        return self.demand()

    def demand_fit(self, root: bytes, fingerprint: str, replaces: str) -> Described:
        """See to it that `put` would go through now; raises as `put`."""
        described, current = describe(root), self.current()
        if plain(fingerprint) != described.fingerprint:
            raise FingerprintError("of the new root")
        if current and current.fingerprint == described.fingerprint:
            raise ConflictError(name=described.fingerprint[:16])
        if plain(replaces) != (current.fingerprint if current else ""):
            raise FingerprintError("of the root that is replaced")
        return described

    def seen(self, fingerprint: str, serial: int) -> None:
        """Remember that the memory of this publisher has come so far; never less than before."""
        with self._database.write() as connection:
            connection.execute(
                "update anchors set serial = ? where fingerprint = ? and serial < ?", (serial, fingerprint, serial)
            )


def describe(root: bytes) -> Described:
    """What a root says, once its own keys are seen to have signed it.

    The fingerprint is the file's SHA-256, so that anybody can compute it with what is on every machine.

    Raises:
        BundleInvalidError: no root, or too long for one.
        BundleSignatureError: too few of its own keys have signed it.
    """
    if len(root) > LONGEST:
        raise BundleInvalidError("root too long")
    signed = demand_sound_root(root)
    roles = {name: (len(role.keyids), role.threshold) for name, role in sorted(signed.roles.items())}
    return Described(hashlib.sha256(root).hexdigest(), signed.version, signed.expires.timestamp(), roles)


def plain(fingerprint: str) -> str:
    """A fingerprint as people write it, with blanks or colons, the way it is compared."""
    return "".join(fingerprint.split()).replace(":", "").lower()


def _anchor(row: tuple[Any, ...]) -> Anchor:
    return Anchor(row[0], bytes(row[1]), row[2], row[3], row[4])
