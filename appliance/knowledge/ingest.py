"""Taking a document in: read, split, embed, and switch to the new rows in one transaction."""

import json
from collections.abc import Callable, Sequence
from typing import BinaryIO, Protocol

import apsw
import numpy as np

from appliance import clock
from appliance.errors import CancelledError, EmptyDocumentError, HakoError, NotFoundError
from appliance.jobs.queue import Job
from appliance.jobs.worker import Report
from appliance.knowledge import documents, embedder, index, packed, records, split
from appliance.knowledge.embedder import DIMENSIONS, Embedder
from appliance.knowledge.extract.contract import Extracted, Progress
from appliance.knowledge.records import Indexable
from appliance.knowledge.split import Prepared
from appliance.storage.blobs import BlobStore
from appliance.storage.database import Database

_COUNTED_AT_ONCE = 500
_PASSAGES_AT_ONCE = 4
"""With their sentences some twenty texts, a second on two cores: a cancel is felt at once."""


class DocumentReader(Protocol):
    """Turns a file into text; `sandbox.reader.DocumentReader` does it in a child that may die."""

    def read(self, fill: Callable[[BinaryIO], None], name: str, progress: Progress) -> Extracted:
        """Read what `fill` writes; `progress` may raise to stop it. Raises DocumentError kinds."""


class Ingest:
    """The handler of `ingest` jobs. Nothing of a document can be found before all of it can."""

    KIND = documents.INGEST

    def __init__(self, database: Database, blobs: BlobStore, reader: DocumentReader, embedder: Embedder) -> None:
        self._database, self._blobs, self._reader, self._embedder = database, blobs, reader, embedder

    def run(self, job: Job, report: Report) -> None:
        """Take the document in. A repeated run starts over; one that finds its work done does nothing.

        Raises:
            CancelledError: somebody cancelled it; nothing of the document is kept but its original.
            DocumentError: it can't be read.
            InferenceUnreachableError, ModelFailedError: passing trouble with the embedding model.
        """
        document_id = str(job.payload["document_id"])
        begun = self._begin(job, document_id)
        if begun is None:
            return
        name, blob_id = begun
        report("reading", 0, 0)
        try:
            extracted = self._reader.read(
                lambda target: self._blobs.fetch(blob_id, target),
                name,
                lambda done, total: report("reading", done, total),
            )
        except NotFoundError:
            if self._is_gone(document_id):
                return
            raise
        prepared = split.prepare(extracted, extracted.title or name, lambda texts: self._count(texts, report))
        if not prepared.passages:
            raise EmptyDocumentError(extracted.format)
        indexable = self._embed(prepared, report)
        report("indexing", 0, 1)
        self._switch(job, document_id, extracted.format, indexable)

    def closed(self, job: Job, error: HakoError | None) -> None:
        """Write the reason into the document's row, unless somebody else works on it by now."""
        if error is None:
            return
        cancelled = isinstance(error, CancelledError)
        with self._database.write() as connection:
            if not _holds(connection, job):
                return
            connection.execute(
                "update documents set state = ?, error_code = ?, error_params = ?, updated_at = ?"
                " where id = ? and state in ('waiting', 'working')",
                (
                    "cancelled" if cancelled else "failed",
                    None if cancelled else error.code,
                    None if cancelled else json.dumps(error.params),
                    clock.now(),
                    job.payload["document_id"],
                ),
            )
            packed.settle(connection, str(job.payload["document_id"]))

    def _begin(self, job: Job, document_id: str) -> tuple[str, str] | None:
        """The document's name and blob; None if there is nothing to do (any more)."""
        with self._database.write() as connection:
            _demand(connection, job)
            begun: tuple[str, str] | None = connection.execute(
                "update documents set state = 'working', updated_at = ?"
                " where id = ? and state in ('waiting', 'working') returning name, blob_id",
                (clock.now(), document_id),
            ).fetchone()
            if begun is not None and packed.take_over(connection, document_id):
                return None
            return begun

    def _is_gone(self, document_id: str) -> bool:
        with self._database.read() as connection:
            return connection.execute("select 1 from documents where id = ?", (document_id,)).get is None

    def _count(self, texts: Sequence[str], report: Report) -> list[int]:
        counts: list[int] = []
        for start in range(0, len(texts), _COUNTED_AT_ONCE):
            report("splitting", start, len(texts))
            counts += self._embedder.count_tokens(texts[start : start + _COUNTED_AT_ONCE])
        return counts

    def _embed(self, prepared: Prepared, report: Report) -> Indexable:
        """Vectors of all passages and of all distinct sentences. Progress counts passages."""
        title, passages = prepared.title, prepared.passages
        place_of: dict[str, int] = {}
        vector_of_sentence = [place_of.setdefault(sentence.text, len(place_of)) for sentence in prepared.sentences]
        distinct = list(place_of)
        passage_vectors = np.empty((len(passages), DIMENSIONS), np.float32)
        sentence_vectors = np.empty((len(distinct), DIMENSIONS), np.float32)
        embedded = 0
        for start in range(0, len(passages), _PASSAGES_AT_ONCE):
            report("embedding", start, len(passages))
            group = passages[start : start + _PASSAGES_AT_ONCE]
            last = start + len(group) == len(passages)
            # Numbers are given in order of appearance, so what these passages hold comes before what later ones add.
            upto = len(distinct) if last else 1 + max(vector_of_sentence[: group[-1].last + 1])
            texts = [embedder.passage_text(title, passage.heading, passage.text) for passage in group]
            texts += [embedder.sentence_text(title, sentence) for sentence in distinct[embedded:upto]]
            vectors = self._embedder.embed(texts, "passage")
            passage_vectors[start : start + len(group)] = vectors[: len(group)]
            sentence_vectors[embedded:upto] = vectors[len(group) :]
            embedded = upto
        report("embedding", len(passages), len(passages))
        return Indexable(
            prepared=prepared,
            passage_vectors=passage_vectors,
            sentence_vectors=sentence_vectors,
            vector_of_sentence=vector_of_sentence,
            terms=[index.terms_of(title, passage.heading, passage.text) for passage in passages],
        )

    def _switch(self, job: Job, document_id: str, kind: str, document: Indexable) -> None:
        """Old rows out, new rows in, and the document is ready; all at once."""
        prepared, now = document.prepared, clock.now()
        with self._database.write() as connection:
            _demand(connection, job)
            base = connection.execute(
                "select bases.id, number from bases join documents on documents.base_id = bases.id"
                " where documents.id = ? and state = 'working'",
                (document_id,),
            ).fetchone()
            if base is None:  # erased or cancelled since the last report
                return
            records.replace(connection, base[1], document_id, document)
            connection.execute(
                "update documents set title = ?, format = ?, language = ?, pages = ?, passages = ?, state = 'ready',"
                " error_code = null, error_params = null, updated_at = ? where id = ?",
                (
                    prepared.title,
                    kind,
                    prepared.language,
                    len(prepared.pages),
                    len(prepared.passages),
                    now,
                    document_id,
                ),
            )
            connection.execute("update bases set updated_at = ? where id = ?", (now, base[0]))
            packed.settle(connection, document_id)


def _holds(connection: apsw.Connection, job: Job) -> bool:
    """Whether this claim of the job still counts; a claim that was lost must not change the document."""
    return _cancel_flag(connection, job) is not None


def _demand(connection: apsw.Connection, job: Job) -> None:
    """Raises CancelledError unless this claim still counts and the work is still wanted."""
    if _cancel_flag(connection, job) != 0:
        raise CancelledError(job.id)


def _cancel_flag(connection: apsw.Connection, job: Job) -> int | None:
    flag: int | None = connection.execute(
        "select cancel from jobs where id = ? and state = 'running' and attempts = ?", (job.id, job.attempts)
    ).get
    return flag
