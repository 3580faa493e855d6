"""Bases that came in bundles: each version is read where nobody sees it, and takes the old one's place once it is read.

Readers have the old version until then, and the base stays the same one for chats, keys and programs that name it.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, Final, Literal, Protocol, cast

import apsw

from appliance import clock
from appliance.accounts.permissions import Principal
from appliance.errors import BundleRollbackError, ConflictError
from appliance.jobs.queue import Queue
from appliance.knowledge import bases, documents, index, records
from appliance.knowledge.bases import Visibility
from appliance.storage.blobs import BlobStore
from appliance.storage.database import Database

SWITCH: Final = "pack"
"""The kind of job that shows a version once it has been read; its payload is `{"base_id": …}`."""
State = Literal["coming", "reading", "ready", "failed"]
MakerKind = Literal["publisher", "box"]
_PACED: Final = 100
_LEAST_PACED_S: Final = 1.0


class _Text(Protocol):
    @property
    def ja(self) -> str: ...
    @property
    def en(self) -> str: ...


class Incoming(Protocol):
    """A version of a pack as its maker has signed it. `maker` is a fingerprint, `issued` in seconds since the epoch."""

    @property
    def digest(self) -> str: ...
    @property
    def maker(self) -> str: ...
    @property
    def maker_kind(self) -> MakerKind: ...
    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def issued(self) -> int: ...
    @property
    def title(self) -> _Text: ...
    @property
    def description(self) -> str: ...
    @property
    def licence(self) -> str: ...
    @property
    def provenance(self) -> dict[str, str]: ...
    @property
    def paths(self) -> dict[str, str]:
        """Where each document lies in the bundle, and what it is called."""


Open = Callable[[str], AbstractContextManager[BinaryIO]]


class PackedBases:
    """Where bundles put documents. Safe to share between threads and processes."""

    def __init__(self, database: Database, blobs: BlobStore, language: Literal["ja", "en"] = "ja") -> None:
        """`language`: in which new bases get their name."""
        self._database, self._blobs, self._language = database, blobs, language

    def state(self, digest: str) -> State | None:
        """How far this very version is; None where it isn't here."""
        with self._database.read() as connection:
            found = connection.execute("select state from packs where digest = ?", (digest,)).get
        return cast("State | None", found)

    def shown(self, maker: str, name: str) -> str | None:
        """The version of a pack that readers have; None if there is none."""
        with self._database.read() as connection:
            found = connection.execute(
                "select version from packs where maker = ? and name = ? and state = 'ready'", (maker, name)
            ).get
        return None if found is None else str(found)

    def demand_newer(self, maker: str, name: str, issued: int, digest: str) -> None:
        """Raises BundleRollbackError where the same version, or a later one, of another content was taken before."""
        with self._database.read() as connection:
            _demand_newer(connection, maker, name, issued, digest)

    def put(self, pack: Incoming, opened: Open, visibility: Visibility, actor: str) -> None:
        """Store all documents of a version, then have them read. Repeating it goes on where it was.

        Raises:
            BundleRollbackError: as `demand_newer`.
            ConflictError: somebody has removed it meanwhile.
            DiskFullError: no room.
        """
        base_id = self.stage(pack, visibility, actor)
        if self.state(pack.digest) == "coming":
            for path, name in pack.paths.items():
                with opened(path) as source:
                    self.add(base_id, name, source)
        self.begin_reading(base_id)

    def stage(self, pack: Incoming, visibility: Visibility, actor: str) -> str:
        """The hidden base for a version; the one that is there, if it was begun before. Other unread versions go.

        Raises:
            BundleRollbackError: as `demand_newer`.
        """
        with self._database.write() as connection:
            row = connection.execute("select base_id, state from packs where digest = ?", (pack.digest,)).fetchone()
            if row is not None and row[1] != "failed":
                return str(row[0])
            _demand_newer(connection, pack.maker, pack.name, pack.issued, pack.digest)
            blob_ids = _erase_unread(connection, pack.maker, pack.name)
            replaces = connection.execute(
                "select base_id from packs where maker = ? and name = ?", (pack.maker, pack.name)
            ).get
            title = getattr(pack.title, self._language) or pack.title.en or pack.title.ja or pack.name
            name = _free_name(connection, f"{title} {pack.version}" if replaces else title)
            base = bases.create_in(connection, Principal.system_operator(), name, pack.description, visibility)
            connection.execute(
                "insert into packs (base_id, replaces, state, digest, maker, maker_kind, name, version, issued,"
                " title_ja, title_en, licence, provenance, taken_by, taken_at)"
                " values (?, ?, 'coming', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    base.id,
                    replaces,
                    pack.digest,
                    pack.maker,
                    pack.maker_kind,
                    pack.name,
                    pack.version,
                    pack.issued,
                    pack.title.ja,
                    pack.title.en,
                    pack.licence,
                    json.dumps(pack.provenance, ensure_ascii=False),
                    actor,
                    clock.now(),
                ),
            )
        self._drop_blobs(blob_ids)
        return base.id

    def add(self, base_id: str, name: str, source: BinaryIO) -> None:
        """Store a document, to be read later; nothing happens if these very bytes are there.

        Raises:
            ConflictError: somebody has removed the pack meanwhile.
            DiskFullError: no room.
        """
        blob = self._blobs.put(source)
        with self._database.write() as connection:
            coming = connection.execute("select state from packs where base_id = ?", (base_id,)).get == "coming"
            now = clock.now()
            if coming and self._blobs.holds(connection, blob.id):
                connection.execute(
                    "insert into documents (id, base_id, name, format, size, digest, blob_id, state, created_at,"
                    " updated_at) values (?, ?, ?, ?, ?, ?, ?, 'waiting', ?, ?)"
                    " on conflict (base_id, digest) do nothing",
                    (
                        clock.new_id("doc"),
                        base_id,
                        name,
                        documents.ending(name),
                        blob.size,
                        blob.digest,
                        blob.id,
                        now,
                        now,
                    ),
                )
                return
        self._blobs.delete(blob.id)
        raise ConflictError(name=name)

    def begin_reading(self, base_id: str) -> None:
        """All of its documents are there: have them read, after people's own and in turns with other bundles'."""
        with self._database.write() as connection:
            connection.execute("update packs set state = 'reading' where base_id = ? and state = 'coming'", (base_id,))
            if not connection.changes():
                return
            rows: list[tuple[Any, ...]] = connection.execute(
                "select id from documents where base_id = ? order by name, id", (base_id,)
            ).fetchall()
            for rank, (document_id,) in enumerate(rows, start=1):
                key = records.job_key(document_id)
                Queue.enqueue_in(connection, documents.INGEST, {"document_id": document_id}, key=key, rank=rank)

    def pace(self) -> float | None:
        """Seconds that this box takes to read a byte of a document, by what it has read of late; None if too little."""
        with self._database.read() as connection:
            rows: list[tuple[Any, ...]] = connection.execute(
                "select finished_at - started_at, size from jobs"
                " join documents on documents.id = payload ->> 'document_id'"
                " where kind = ? and jobs.state = 'done' order by finished_at desc limit ?",
                (documents.INGEST, _PACED),
            ).fetchall()
        took, size = sum(row[0] for row in rows), sum(row[1] for row in rows)
        return took / size if took >= _LEAST_PACED_S and size else None

    def switch(self, base_id: str) -> bool:
        """Show a version that has been read, in place of the one before; False if there is nothing to show (yet)."""
        with self._database.write() as connection:
            row = connection.execute(
                "select replaces, maker, packs.name, issued, digest, number from packs join bases on bases.id = base_id"
                " where base_id = ? and state = 'reading'",
                (base_id,),
            ).fetchone()
            if row is None or not _is_read(connection, base_id):
                return False
            replaces, maker, name, issued, digest, number = row
            connection.execute(
                "insert into pack_marks (maker, name, issued, digest) values (?, ?, ?, ?) on conflict (maker, name) do"
                " update set issued = excluded.issued, digest = excluded.digest",
                (maker, name, issued, digest),
            )
            if replaces is None:
                connection.execute("update packs set state = 'ready' where base_id = ?", (base_id,))
                return True
            blob_ids = _replace(connection, str(replaces), base_id, int(number))
        self._drop_blobs(blob_ids)
        return True

    def fail(self, base_id: str) -> None:
        """Leave a version unshown; its documents' reasons can be read until it is removed or taken again."""
        with self._database.write() as connection:
            connection.execute("update packs set state = 'failed' where base_id = ? and state = 'reading'", (base_id,))

    def remove(self, base_id: str) -> None:
        """Erase a version that is on its way, or the shown one with what was to replace it; if it is there."""
        with self._database.write() as connection:
            rows: list[tuple[Any, ...]] = connection.execute(
                "select base_id, number from packs join bases on bases.id = base_id"
                " where base_id = ?1 or replaces = ?1",
                (base_id,),
            ).fetchall()
            blob_ids = [blob_id for found, number in rows for blob_id in bases.erase_in(connection, found, number)]
        self._drop_blobs(blob_ids)

    def _drop_blobs(self, blob_ids: Sequence[str]) -> None:
        for blob_id in dict.fromkeys(blob_ids):
            self._blobs.delete(blob_id)


def settle(connection: apsw.Connection, document_id: str) -> None:
    """A document was read, or failed, in this transaction: have its version shown, if that was the last one."""
    base_id = connection.execute(
        "select packs.base_id from packs join documents on documents.base_id = packs.base_id"
        " where documents.id = ? and packs.state = 'reading'",
        (document_id,),
    ).get
    if base_id is not None and _is_read(connection, base_id):
        Queue.enqueue_in(connection, SWITCH, {"base_id": base_id}, key=f"{SWITCH}:{base_id}")


def take_over(connection: apsw.Connection, document_id: str) -> bool:
    """Copy what the version before has of a document, if it has these bytes under this name; then it is ready."""
    row = connection.execute(
        "select old.id, bases.number from documents new join packs on packs.base_id = new.base_id"
        " join bases on bases.id = new.base_id join documents old on old.base_id = packs.replaces"
        " where new.id = ? and new.state = 'working' and packs.state = 'reading' and old.state = 'ready'"
        " and old.digest = new.digest and old.name = new.name",
        (document_id,),
    ).fetchone()
    if row is None:
        return False
    records.copy(connection, str(row[0]), int(row[1]), document_id)
    connection.execute(
        "update documents set state = 'ready', updated_at = ?, (title, format, language, pages, passages) ="
        " (select title, format, language, pages, passages from documents where id = ?) where id = ?",
        (clock.now(), row[0], document_id),
    )
    settle(connection, document_id)
    return True


def ready_count(connection: apsw.Connection, base_id: str) -> int:
    """Documents of a base that were read."""
    return int(
        connection.execute("select count(*) from documents where base_id = ? and state = 'ready'", (base_id,)).get
    )


def _is_read(connection: apsw.Connection, base_id: str) -> bool:
    return not connection.execute(
        "select 1 from documents where base_id = ? and state in ('waiting', 'working') limit 1", (base_id,)
    ).get


def _demand_newer(connection: apsw.Connection, maker: str, name: str, issued: int, digest: str) -> None:
    """What is on its way counts as well, so that the one that is asked for last doesn't undo a newer one."""
    rows: list[tuple[Any, ...]] = connection.execute(
        "select issued, digest from pack_marks where maker = ?1 and name = ?2"
        " union all select issued, digest from packs where maker = ?1 and name = ?2 and state != 'failed'",
        (maker, name),
    ).fetchall()
    for held, known in rows:
        if issued < held or (issued == held and digest != known):
            raise BundleRollbackError(f"pack {name[:40]}: issued {issued}, {held} was taken")


def _erase_unread(connection: apsw.Connection, maker: str, name: str) -> list[str]:
    rows: list[tuple[Any, ...]] = connection.execute(
        "select base_id, number from packs join bases on bases.id = base_id"
        " where maker = ? and packs.name = ? and state != 'ready'",
        (maker, name),
    ).fetchall()
    return [blob_id for base_id, number in rows for blob_id in bases.erase_in(connection, base_id, number)]


def _replace(connection: apsw.Connection, shown: str, read: str, number: int) -> list[str]:
    """Give the shown base the documents and the number of the one that was read; returns blobs that may go."""
    old: list[tuple[Any, ...]] = connection.execute(
        "select id, blob_id from documents where base_id = ?", (shown,)
    ).fetchall()
    for document_id, _blob_id in old:
        Queue.cancel_in(connection, records.job_key(document_id))
    index.drop(connection, int(connection.execute("select number from bases where id = ?", (shown,)).get))
    connection.execute("delete from documents where base_id = ?", (shown,))
    connection.execute("delete from packs where base_id = ?", (shown,))
    connection.execute("update documents set base_id = ? where base_id = ?", (shown, read))
    connection.execute(
        "update packs set base_id = ?, replaces = null, state = 'ready' where base_id = ?", (shown, read)
    )
    connection.execute("delete from bases where id = ?", (read,))
    connection.execute("update bases set number = ?, updated_at = ? where id = ?", (number, clock.now(), shown))
    return [blob_id for _document_id, blob_id in old]


def _free_name(connection: apsw.Connection, name: str) -> str:
    number, candidate = 1, name
    while bases.is_taken(connection, candidate):
        number += 1
        candidate = f"{name} {number}"
    return candidate
