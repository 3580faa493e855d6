"""A document's pages, passages and sentences as rows, together with their index entries; whole or not at all."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import apsw

from appliance.knowledge import index
from appliance.knowledge.embedder import Vectors
from appliance.knowledge.split import Prepared

_COPIED: Final = {
    "passages": "ordinal, first_sentence, last_sentence, page, heading, text, tokens, vector",
    "sentences": 'ordinal, page, start, "end", text, vector',
}


@dataclass(frozen=True, slots=True)
class Indexable:
    """A document with all that its rows need, so that the transaction which writes them is short."""

    prepared: Prepared
    passage_vectors: Vectors
    sentence_vectors: Vectors
    """One a distinct sentence."""
    vector_of_sentence: Sequence[int]
    """Which row of `sentence_vectors` belongs to which sentence."""
    terms: Sequence[Sequence[str]]
    """Of each passage."""


def job_key(document_id: str) -> str:
    """Under which key the queue holds the work on a document."""
    return f"document:{document_id}"


def replace(connection: apsw.Connection, number: int, document_id: str, document: Indexable) -> None:
    """Write a document's rows in place of those that are there, into the base of this number."""
    erase(connection, number, document_id)
    prepared = document.prepared
    connection.executemany(
        "insert into pages (document_id, number, text, blocks) values (?, ?, ?, ?)",
        (
            (
                document_id,
                page.number,
                page.text,
                json.dumps([(block.kind, block.level, block.start, block.end) for block in page.blocks]),
            )
            for page in prepared.pages
        ),
    )
    passage_vectors = [vector.tobytes() for vector in document.passage_vectors]
    first = _next_id(connection, "passages")
    passage_ids = range(first, first + len(prepared.passages))
    connection.executemany(
        "insert into passages (id, document_id, ordinal, first_sentence, last_sentence, page, heading, text, tokens,"
        " vector) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (
                passage_id,
                document_id,
                passage.ordinal,
                passage.first,
                passage.last,
                passage.page,
                passage.heading,
                passage.text,
                passage.tokens,
                vector,
            )
            for passage_id, passage, vector in zip(passage_ids, prepared.passages, passage_vectors, strict=True)
        ),
    )
    distinct = [vector.tobytes() for vector in document.sentence_vectors]
    sentence_vectors = [distinct[place] for place in document.vector_of_sentence]
    first = _next_id(connection, "sentences")
    sentence_ids = range(first, first + len(prepared.sentences))
    connection.executemany(
        'insert into sentences (id, document_id, ordinal, page, start, "end", text, vector)'
        " values (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (
                sentence_id,
                document_id,
                sentence.ordinal,
                sentence.page,
                sentence.start,
                sentence.end,
                sentence.text,
                vector,
            )
            for sentence_id, sentence, vector in zip(sentence_ids, prepared.sentences, sentence_vectors, strict=True)
        ),
    )
    index.add(
        connection,
        number,
        zip(passage_ids, passage_vectors, document.terms, strict=True),
        zip(sentence_ids, sentence_vectors, strict=True),
    )


def copy(connection: apsw.Connection, document_id: str, number: int, into: str) -> None:
    """Write the rows of a document that was read once more, for another one of the same bytes in the base `number`."""
    erase(connection, number, into)
    connection.execute(
        "insert into pages (document_id, number, text, blocks) select ?, number, text, blocks from pages"
        " where document_id = ?",
        (into, document_id),
    )
    for table, columns in _COPIED.items():
        connection.execute(
            f"insert into {table} (id, document_id, {columns}) select ? + ordinal, ?, {columns} from {table}"
            " where document_id = ?",
            (_next_id(connection, table), into, document_id),
        )
    title = str(connection.execute("select title from documents where id = ?", (document_id,)).get)
    passages: list[tuple[Any, ...]] = connection.execute(
        "select id, vector, heading, text from passages where document_id = ? order by id", (into,)
    ).fetchall()
    sentences: list[tuple[Any, ...]] = connection.execute(
        "select id, vector from sentences where document_id = ? order by id", (into,)
    ).fetchall()
    terms = (index.terms_of(title, heading, text) for _id, _vector, heading, text in passages)
    found = zip(passages, terms, strict=True)
    index.add(connection, number, [(row[0], row[1], words) for row, words in found], sentences)


def erase(connection: apsw.Connection, number: int, document_id: str) -> None:
    """Remove a document's pages, passages, sentences and index entries; its own row stays."""
    index.remove(
        connection,
        number,
        _ids(connection, "passages", document_id),
        _ids(connection, "sentences", document_id),
    )
    for table in ("pages", "passages", "sentences"):
        connection.execute(f"delete from {table} where document_id = ?", (document_id,))


def _ids(connection: apsw.Connection, table: str, document_id: str) -> list[int]:
    rows: list[tuple[Any, ...]] = connection.execute(
        f"select id from {table} where document_id = ?", (document_id,)
    ).fetchall()
    return [row[0] for row in rows]


def _next_id(connection: apsw.Connection, table: str) -> int:
    """Ids are given here, not by SQLite, so that rows and index entries can be written in bulk."""
    return int(connection.execute(f"select coalesce(max(id), 0) + 1 from {table}").get)
