"""Documents in bases: taken in, listed, shown page by page, tried again, erased."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

import apsw

from appliance import clock
from appliance.accounts.permissions import Principal
from appliance.errors import ConflictError, EmptyDocumentError, NotFoundError
from appliance.jobs.queue import Job, Queue
from appliance.knowledge import records
from appliance.knowledge.bases import Bases, get_manageable, get_writable
from appliance.storage.blobs import Blob, BlobStore
from appliance.storage.database import Database

State = Literal["waiting", "working", "ready", "failed", "cancelled"]

INGEST = "ingest"
"""The kind of job that reads a document; its payload is `{"document_id": …}`."""

_ETA_STAGE = "embedding"
"""Takes nearly all of the time; what the others took says nothing about what is left."""
_ETA_AFTER_S = 3.0
_ABANDONED_AFTER_S = 3600.0
_LARGEST_PAGE = 2**31
"""No document has it; SQLite takes no number of more than 64 bits."""


@dataclass(frozen=True)
class JobProgress:
    """`done` of `total` units of `stage`; `eta_s` seconds are left, None while that can't be told."""

    stage: str
    done: int
    total: int
    eta_s: float | None


@dataclass(frozen=True)
class Document:
    """A document as it was when asked for; times in seconds since the epoch, size in bytes."""

    id: str
    base_id: str
    name: str
    title: str
    format: str
    size: int
    pages: int
    passages: int
    language: str
    state: State
    error: tuple[str, dict[str, Any]] | None
    """Code and params."""
    created_at: float
    updated_at: float
    created_by: str
    """Display name; empty for the system and for people who are gone."""
    progress: JobProgress | None


@dataclass(frozen=True)
class PageView:
    """A page as text; all offsets are characters into `text`."""

    document: Document
    page: int
    pages: int
    text: str
    blocks: list[dict[str, Any]]
    """`kind`, `level`, `start`, `end`."""
    sentences: list[dict[str, Any]]
    """`ordinal`, `start`, `end`."""


_DOCUMENT = """
select documents.id, base_id, documents.name, title, format, size, pages, passages, documents.language, state,
  error_code, error_params, documents.created_at, documents.updated_at, coalesce(users.display_name, ''), blob_id
from documents left join users on users.id = documents.created_by
"""


class Documents:
    """Every look-up names the person who asks; what lies in a base that they may not read is NotFoundError."""

    def __init__(self, database: Database, blobs: BlobStore, queue: Queue, bases: Bases) -> None:
        self._database, self._blobs, self._queue, self._bases = database, blobs, queue, bases

    def list(self, who: Principal, base_id: str) -> Sequence[Document]:
        """The documents of a base, newest first. Raises NotFoundError."""
        with self._database.read() as connection:
            base = self._bases.get(who, base_id)
            rows: list[tuple[Any, ...]] = connection.execute(
                f"{_DOCUMENT} where base_id = ? order by documents.created_at desc, documents.id", (base.id,)
            ).fetchall()
            jobs = self._queue.by_keys([records.job_key(row[0]) for row in rows if row[9] in ("waiting", "working")])
        return [_document(row, jobs.get(records.job_key(row[0]))) for row in rows]

    def get(self, who: Principal, document_id: str) -> Document:
        """Raises NotFoundError."""
        with self._database.read() as connection:
            return self._look_up(connection, who, document_id)[0]

    def add(self, who: Principal, base_id: str, name: str, source: BinaryIO) -> tuple[Document, bool]:
        """Store `source` and queue it for reading; True if the base has these very bytes already.

        If an earlier attempt at the same bytes failed or was cancelled, it is taken up again instead.

        Raises:
            NotFoundError, ForbiddenError: the base is not readable, or readable but not writable.
            EmptyDocumentError: nothing in it.
            DiskFullError: no room; nothing was kept.
        """
        with self._database.read() as connection:
            get_writable(connection, who, base_id)  # before anything is stored
        blob = self._blobs.put(source)
        try:
            return self._add(who, base_id, name, blob)
        except BaseException:
            self._blobs.delete(blob.id)
            raise

    def _add(self, who: Principal, base_id: str, name: str, blob: Blob) -> tuple[Document, bool]:
        if blob.size == 0:
            raise EmptyDocumentError("0 bytes")
        with self._database.write() as connection:
            base = get_writable(connection, who, base_id)
            if not self._blobs.holds(connection, blob.id):  # the last document with these bytes was just erased
                raise ConflictError(name=name)
            known = connection.execute(
                "select id from documents where base_id = ? and digest = ?", (base.id, blob.digest)
            ).get
            if known is not None:
                document = self._look_up(connection, who, known)[0]
                if document.state not in ("failed", "cancelled"):
                    return document, True
                self._restart(connection, who, known)
                return self._look_up(connection, who, known)[0], False
            document_id, now = clock.new_id("doc"), clock.now()
            connection.execute(
                "insert into documents (id, base_id, name, format, size, digest, blob_id, state, created_by,"
                " created_at, updated_at) values (?, ?, ?, ?, ?, ?, ?, 'waiting', ?, ?, ?)",
                (document_id, base.id, name, ending(name), blob.size, blob.digest, blob.id, who.user_id, now, now),
            )
            self._enqueue(connection, who, document_id)
            return self._look_up(connection, who, document_id)[0], False

    def retry(self, who: Principal, document_id: str) -> Document:
        """Read a document again that failed or was cancelled; others stay as they are.

        Raises:
            NotFoundError, ForbiddenError: not readable, or its base is not this person's to manage.
        """
        with self._database.write() as connection:
            document, _blob_id = self._look_up(connection, who, document_id)
            get_manageable(connection, who, document.base_id)
            if document.state in ("failed", "cancelled"):
                self._restart(connection, who, document_id)
            return self._look_up(connection, who, document_id)[0]

    def cancel(self, who: Principal, document_id: str) -> Document:
        """Stop reading a document; one that is ready or failed stays as it is.

        Raises:
            NotFoundError, ForbiddenError: not readable, or readable but not writable.
        """
        with self._database.write() as connection:
            document, _blob_id = self._look_up_writable(connection, who, document_id)
            if document.state in ("waiting", "working"):
                Queue.cancel_in(connection, records.job_key(document_id))
                connection.execute(
                    "update documents set state = 'cancelled', updated_at = ? where id = ?", (clock.now(), document_id)
                )
            return self._look_up(connection, who, document_id)[0]

    def delete(self, who: Principal, document_id: str) -> None:
        """Erase a document, what was made from it, and its original.

        Raises:
            NotFoundError, ForbiddenError: not readable, or readable but not writable.
        """
        with self._database.write() as connection:
            document, blob_id = self._look_up_writable(connection, who, document_id)
            base = self._bases.get(who, document.base_id)
            Queue.cancel_in(connection, records.job_key(document_id))
            records.erase(connection, base.number, document_id)
            connection.execute("delete from documents where id = ?", (document_id,))
            connection.execute("update bases set updated_at = ? where id = ?", (clock.now(), base.id))
        self._blobs.delete(blob_id)

    def page(self, who: Principal, document_id: str, number: int) -> PageView:
        """One page as text, with its blocks and sentences. Raises NotFoundError, also before the document is ready."""
        with self._database.read() as connection:
            document, _blob_id = self._look_up(connection, who, document_id)
            row = connection.execute(
                "select text, blocks from pages where document_id = ? and number = ?",
                (document_id, min(number, _LARGEST_PAGE)),
            ).fetchone()
            if row is None or document.state != "ready":
                raise NotFoundError(f"{document_id} page {number}")
            sentences: list[tuple[Any, ...]] = connection.execute(
                'select ordinal, start, "end" from sentences where document_id = ? and page = ? order by ordinal',
                (document_id, number),
            ).fetchall()
        return PageView(
            document=document,
            page=number,
            pages=document.pages,
            text=row[0],
            blocks=[dict(zip(("kind", "level", "start", "end"), block, strict=True)) for block in json.loads(row[1])],
            sentences=[dict(zip(("ordinal", "start", "end"), sentence, strict=True)) for sentence in sentences],
        )

    def original(self, who: Principal, document_id: str) -> tuple[Document, Iterator[bytes]]:
        """The file as it came in, in chunks.

        Raises:
            NotFoundError: not there for this person.
            EnvelopeError: the stored file is missing or altered; also while the chunks are read.
        """
        with self._database.read() as connection:
            document, blob_id = self._look_up(connection, who, document_id)
        return document, self._blobs.open(blob_id)

    def sweep(self) -> int:
        """Erase originals that a crash left without a document, and jobs of documents that are gone.

        Returns:
            How many originals.
        """
        with self._database.write() as connection:
            connection.execute(
                "delete from jobs where kind = ? and state not in ('waiting', 'running')"
                " and payload ->> 'document_id' not in (select id from documents)",
                (INGEST,),
            )
        with self._database.read() as connection:
            rows: list[tuple[Any, ...]] = connection.execute(
                "select id from blobs where created_at < ? and id not in (select blob_id from documents)",
                (clock.now() - _ABANDONED_AFTER_S,),
            ).fetchall()
        return sum(self._blobs.delete(row[0]) for row in rows)

    def _look_up(self, connection: apsw.Connection, who: Principal, document_id: str) -> tuple[Document, str]:
        """The document and its blob, if this person may read its base."""
        row = connection.execute(f"{_DOCUMENT} where documents.id = ?", (document_id,)).fetchone()
        if row is None:
            raise NotFoundError(document_id)
        try:
            self._bases.get(who, row[1])
        except NotFoundError:
            raise NotFoundError(document_id) from None
        return _document(row, self._queue.by_key(records.job_key(document_id))), row[15]

    def _look_up_writable(self, connection: apsw.Connection, who: Principal, document_id: str) -> tuple[Document, str]:
        document, blob_id = self._look_up(connection, who, document_id)
        get_writable(connection, who, document.base_id)
        return document, blob_id

    def _restart(self, connection: apsw.Connection, who: Principal, document_id: str) -> None:
        connection.execute(
            "update documents set state = 'waiting', error_code = null, error_params = null, updated_at = ?"
            " where id = ?",
            (clock.now(), document_id),
        )
        self._enqueue(connection, who, document_id)

    @staticmethod
    def _enqueue(connection: apsw.Connection, who: Principal, document_id: str) -> None:
        Queue.enqueue_in(
            connection, INGEST, {"document_id": document_id}, key=records.job_key(document_id), owner_id=who.user_id
        )


def ending(name: str) -> str:
    """What the name says of the format, until the document has been read."""
    _stem, dot, ending = name.rpartition(".")
    return ending.lower()[:8] if dot else ""


def _document(row: Sequence[Any], job: Job | None) -> Document:
    state: State = row[9]
    return Document(
        id=row[0],
        base_id=row[1],
        name=row[2],
        title=row[3],
        format=row[4],
        size=row[5],
        pages=row[6],
        passages=row[7],
        language=row[8],
        state=state,
        error=(row[10], json.loads(row[11] or "{}")) if row[10] else None,
        created_at=row[12],
        updated_at=row[13],
        created_by=row[14],
        progress=_progress(job) if job is not None and state == "working" else None,
    )


def _progress(job: Job) -> JobProgress | None:
    if job.state != "running" or not job.stage:
        return None
    eta_s = None
    if job.stage == _ETA_STAGE and job.started_at is not None and job.done:
        elapsed_s = clock.now() - job.started_at
        if elapsed_s >= _ETA_AFTER_S:
            eta_s = elapsed_s / job.done * (job.total - job.done)
    return JobProgress(job.stage, job.done, job.total, eta_s)
