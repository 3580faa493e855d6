"""Bases: boxes of documents, and who may read and write each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Literal

import apsw

from appliance import clock
from appliance.accounts.permissions import Principal
from appliance.errors import BasePackedError, ConflictError, ForbiddenError, KeyScopeError, NotFoundError
from appliance.jobs.queue import Queue
from appliance.knowledge import index, records
from appliance.storage.blobs import BlobStore
from appliance.storage.database import Database

Visibility = Literal["everyone", "private"]


@dataclass(frozen=True)
class Base:
    """A base as it was when asked for. `documents` and `passages` count what can be searched."""

    id: str
    number: int
    name: str
    description: str
    owner_id: str | None
    """None: the system's."""
    visibility: Visibility
    documents: int
    passages: int
    packed: bool = False
    """It came in a bundle: its documents are read-only, whoever asks."""

    def writable_by(self, who: Principal) -> bool:
        """Whether this person, or program, may change the base's documents."""
        return self.manageable_by(who) and not self.packed

    def manageable_by(self, who: Principal) -> bool:
        """Whether this person, or program, may rename, share or erase the base."""
        if not who.scope.may_write:
            return False
        if self.owner_id is None:
            return who.is_operator
        return self.owner_id == who.user_id


_BASE = """
select id, number, name, description, owner_id, visibility,
  (select count(*) from documents where base_id = bases.id and state = 'ready'),
  (select coalesce(sum(passages), 0) from documents where base_id = bases.id and state = 'ready'),
  exists (select 1 from packs where base_id = bases.id)
from bases
"""
# A private base of the system belongs to the operators together. What comes in a bundle is nobody's before it is read.
_READABLE = (
    "(visibility = 'everyone' or owner_id = :user or (owner_id is null and :operator))"
    " and id not in (select base_id from packs where state != 'ready')"
)


class Bases:
    """Every look-up names the person who asks; a base that they may not read is NotFoundError."""

    def __init__(self, database: Database, blobs: BlobStore) -> None:
        self._database, self._blobs = database, blobs

    def readable(self, who: Principal) -> Sequence[Base]:
        """All bases that this person may read, the system's first, then by name."""
        with self._database.read() as connection:
            rows: list[tuple[Any, ...]] = connection.execute(
                f"{_BASE} where {_READABLE} order by owner_id is not null, name", _asker(who)
            ).fetchall()
        return [base for base in map(_base, rows) if who.may_read_base(base.id)]

    def get(self, who: Principal, base_id: str) -> Base:
        """Raises NotFoundError."""
        with self._database.read() as connection:
            return _get(connection, who, base_id)

    def create(self, who: Principal, name: str, description: str = "", visibility: Visibility = "private") -> Base:
        """A new, empty base that belongs to who makes it; through the admin socket to the system.

        Raises:
            ConflictError: there is a base of that name, perhaps one that this person can't see.
            KeyScopeError: a key that is good for certain bases only.
        """
        _demand_more_bases(who)
        with self._database.write() as connection:
            if is_taken(connection, name):
                raise ConflictError(name=name)
            return create_in(connection, who, name, description, visibility)

    def update(
        self,
        who: Principal,
        base_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        visibility: Visibility | None = None,
    ) -> Base:
        """Change what is given.

        Raises:
            NotFoundError, ForbiddenError: not readable, or readable but not this person's to manage.
            ConflictError: there is a base of that name.
        """
        with self._database.write() as connection:
            base = get_manageable(connection, who, base_id)
            if name is not None and is_taken(connection, name, but=base_id):
                raise ConflictError(name=name)
            connection.execute(
                "update bases set name = coalesce(?, name), description = coalesce(?, description),"
                " visibility = coalesce(?, visibility), updated_at = ? where id = ?",
                (name, description, visibility, clock.now(), base.id),
            )
            return _get(connection, who, base_id)

    def delete(self, who: Principal, base_id: str) -> None:
        """Erase the base with its documents and their originals.

        Raises:
            NotFoundError, ForbiddenError: not readable, or readable but not this person's to manage.
        """
        with self._database.write() as connection:
            base = get_manageable(connection, who, base_id)
            blob_ids = erase_in(connection, base.id, base.number)
        self._drop_blobs(blob_ids)

    def personal(self, who: Principal, name: str) -> Base:
        """The person's own private base of that name, made if it is missing.

        Names are unique in the box: where somebody else has this one, the person's name is added.

        Raises:
            NotFoundError, KeyScopeError: it is, or would be, outside of a key's scope.
        """
        with self._database.write() as connection:
            for candidate in _names(name, who.name):
                base_id = connection.execute(
                    "select id from bases where name = ? and owner_id is ? and visibility = 'private'",
                    (candidate, who.user_id),
                ).get
                if base_id is not None:
                    return _get(connection, who, base_id)
                if not is_taken(connection, candidate):
                    _demand_more_bases(who)
                    return create_in(connection, who, candidate, "", "private")
        raise AssertionError("unreachable")

    def release(self, user_id: str) -> None:
        """Before an account is deleted: its private bases are erased, its shared ones become the system's."""
        with self._database.write() as connection:
            private: list[tuple[Any, ...]] = connection.execute(
                "select id, number from bases where owner_id = ? and visibility = 'private'", (user_id,)
            ).fetchall()
            blob_ids = [blob_id for base_id, number in private for blob_id in erase_in(connection, base_id, number)]
            connection.execute(
                "update bases set owner_id = null, updated_at = ? where owner_id = ?", (clock.now(), user_id)
            )
        self._drop_blobs(blob_ids)

    def _drop_blobs(self, blob_ids: Sequence[str]) -> None:
        for blob_id in dict.fromkeys(blob_ids):
            self._blobs.delete(blob_id)


def get_writable(connection: apsw.Connection, who: Principal, base_id: str) -> Base:
    """The base, asked inside the transaction that is about to change its documents.

    Raises:
        NotFoundError: not there for this person.
        ForbiddenError: readable only.
        BasePackedError: it came in a bundle.
    """
    base = get_manageable(connection, who, base_id)
    if base.packed:
        raise BasePackedError(base_id)
    return base


def get_manageable(connection: apsw.Connection, who: Principal, base_id: str) -> Base:
    """The base, asked inside the transaction that is about to change what it is called or who reads it.

    Raises:
        NotFoundError: not there for this person.
        ForbiddenError: readable only.
    """
    base = _get(connection, who, base_id)
    if not base.manageable_by(who):
        raise ForbiddenError(base_id)
    return base


def _get(connection: apsw.Connection, who: Principal, base_id: str) -> Base:
    row = connection.execute(f"{_BASE} where id = :id and {_READABLE}", _asker(who) | {"id": base_id}).fetchone()
    if row is None or not who.may_read_base(base_id):
        raise NotFoundError(base_id)
    return _base(row)


def _base(row: Sequence[Any]) -> Base:
    base = Base(*row)
    return replace(base, packed=bool(base.packed))


def _demand_more_bases(who: Principal) -> None:
    """A new base would be outside of a scope that names bases: its maker could not even see it."""
    if who.scope.base_ids:
        raise KeyScopeError("new base")


def _asker(who: Principal) -> dict[str, Any]:
    return {"user": who.user_id, "operator": who.is_operator}


def is_taken(connection: apsw.Connection, name: str, but: str = "") -> bool:
    """Whether there is a base of that name, seen or not."""
    return connection.execute("select 1 from bases where name = ? and id != ?", (name, but)).get is not None


def create_in(connection: apsw.Connection, who: Principal, name: str, description: str, visibility: Visibility) -> Base:
    """A new base under a name that is free."""
    number = int(connection.execute("select coalesce(max(number), 0) + 1 from bases").get)
    base_id, now = clock.new_id("base"), clock.now()
    connection.execute(
        "insert into bases (id, number, name, description, owner_id, visibility, created_at, updated_at)"
        " values (?, ?, ?, ?, ?, ?, ?, ?)",
        (base_id, number, name, description, who.user_id, visibility, now, now),
    )
    index.create(connection, number)
    return Base(base_id, number, name, description, who.user_id, visibility, 0, 0)


def erase_in(connection: apsw.Connection, base_id: str, number: int) -> list[str]:
    """Remove the base and all its rows; returns the blobs that its documents used."""
    documents: list[tuple[Any, ...]] = connection.execute(
        "select id, blob_id from documents where base_id = ?", (base_id,)
    ).fetchall()
    for document_id, _blob_id in documents:
        Queue.cancel_in(connection, records.job_key(document_id))
    index.drop(connection, number)
    connection.execute("delete from bases where id = ?", (base_id,))
    return [blob_id for _document_id, blob_id in documents]


def _names(name: str, person: str) -> Iterator[str]:
    yield name
    yield f"{name} ({person})"
    for number in count(2):
        yield f"{name} ({person}) {number}"
