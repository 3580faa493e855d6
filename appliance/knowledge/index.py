"""The search index of a base: full-text tables of its own, and its part of the vector tables.

All of it can be made again from `passages` and `sentences`. Every function works inside the caller's transaction.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import apsw
import numpy as np
from numpy.typing import NDArray

from appliance.knowledge import tokens
from appliance.knowledge.embedder import Vectors

_TOKENIZER = "ascii"
"""Splits at ASCII blanks and signs only, which our terms never contain; all else stays as it is."""

_OPTIMIZE_UP_TO = 20_000
"""Passages of a base up to which its full-text index is rewritten after a deletion: about a second."""

_MOST_NEIGHBOURS = 4096
"""What sqlite-vec gives at most."""


def create(connection: apsw.Connection, number: int) -> None:
    """The tables of a new base. The index keeps terms and places, not the text."""
    connection.execute(
        f"create virtual table {_text(number)} using fts5"
        f"(body, content='', contentless_delete=1, tokenize='{_TOKENIZER}')"
    )
    connection.execute(f"create virtual table {_terms(number)} using fts5vocab('{_text(number)}', 'instance')")
    connection.execute(
        f"create table {_lengths(number)} (passage_id integer primary key, terms integer not null) strict"
    )


def drop(connection: apsw.Connection, number: int) -> None:
    """Erase the base's index."""
    for table in (_terms(number), _text(number), _lengths(number)):
        connection.execute(f"drop table if exists {table}")
    connection.execute("delete from passage_vectors where base_number = ?", (number,))
    connection.execute("delete from sentence_vectors where base_number = ?", (number,))


def missing(connection: apsw.Connection, number: int, base_id: str) -> int:
    """How many passages of the base no search can find, since the index lacks them."""
    found = connection.execute(
        "select count(*) from passages join documents on documents.id = passages.document_id where base_id = ?"
        f" and passages.id not in (select passage_id from {_lengths(number)})",
        (base_id,),
    ).get
    return int(found)


def rebuild(connection: apsw.Connection, number: int, base_id: str) -> int:
    """Make the index of a base again from its passages and sentences; returns the number of passages."""
    rows: list[tuple[Any, ...]] = connection.execute(
        "select passages.id, passages.vector, title, heading, passages.text from passages"
        " join documents on documents.id = passages.document_id where base_id = ?",
        (base_id,),
    ).fetchall()
    sentences: list[tuple[Any, ...]] = connection.execute(
        "select sentences.id, sentences.vector from sentences"
        " join documents on documents.id = sentences.document_id where base_id = ?",
        (base_id,),
    ).fetchall()
    drop(connection, number)
    create(connection, number)
    passages = ((row[0], row[1], terms_of(row[2], row[3], row[4])) for row in rows)
    add(connection, number, passages, [(row[0], row[1]) for row in sentences])
    return len(rows)


def terms_of(title: str, heading: str, text: str) -> list[str]:
    """The terms under which a passage can be found."""
    return tokens.index_tokens(f"{title}\n{heading}\n{text}")


def add(
    connection: apsw.Connection,
    number: int,
    passages: Iterable[tuple[int, bytes, Sequence[str]]],
    sentences: Iterable[tuple[int, bytes]],
) -> None:
    """Index passages (id, vector, terms) and sentences (id, vector)."""
    passages = list(passages)
    connection.executemany(
        f"insert into {_text(number)} (rowid, body) values (?, ?)",
        ((passage_id, tokens.joined(terms)) for passage_id, _vector, terms in passages),
    )
    connection.executemany(
        f"insert into {_lengths(number)} (passage_id, terms) values (?, ?)",
        ((passage_id, len(terms)) for passage_id, _vector, terms in passages),
    )
    connection.executemany(
        "insert into passage_vectors (passage_id, base_number, embedding) values (?, ?, ?)",
        ((passage_id, number, vector) for passage_id, vector, _terms in passages),
    )
    connection.executemany(
        "insert into sentence_vectors (sentence_id, base_number, embedding) values (?, ?, ?)",
        ((sentence_id, number, vector) for sentence_id, vector in sentences),
    )


def remove(connection: apsw.Connection, number: int, passage_ids: Sequence[int], sentence_ids: Sequence[int]) -> None:
    """Take passages and sentences out of the index."""
    if passage_ids:
        rows = [(passage_id,) for passage_id in passage_ids]
        connection.executemany(f"delete from {_text(number)} where rowid = ?", rows)
        connection.executemany(f"delete from {_lengths(number)} where passage_id = ?", rows)
        connection.executemany("delete from passage_vectors where passage_id = ?", rows)
        count = connection.execute(f"select count(*) from {_lengths(number)}").get
        if count <= _OPTIMIZE_UP_TO:
            # Until its segment is merged a deleted passage is only marked as such, and its terms tell what it said.
            connection.execute(f"insert into {_text(number)} ({_text(number)}) values ('optimize')")
    connection.executemany(
        "delete from sentence_vectors where sentence_id = ?", [(sentence_id,) for sentence_id in sentence_ids]
    )


def lengths(connection: apsw.Connection, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids of the base's passages, ascending, and how many terms each has."""
    rows = connection.execute(f"select passage_id, terms from {_lengths(number)} order by passage_id").fetchall()
    table = np.array(rows, np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def postings(connection: apsw.Connection, number: int, term: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids of the passages that hold the term, ascending, and how often each does."""
    rows = connection.execute(f"select doc from {_terms(number)} where term = ?", (term,)).fetchall()
    found, counts = np.unique(np.array(rows, np.int64), return_counts=True)
    return found, counts


def nearest_passages(
    connection: apsw.Connection, number: int, query: Vectors, count: int, document_ids: Sequence[str] = ()
) -> list[int]:
    """Ids of the passages with the highest cosine, best first; of these documents only, if any are named."""
    within = (
        ""
        if not document_ids
        else " and passage_id in (select id from passages where document_id in (select value from json_each(?)))"
    )
    return _nearest(connection, "passage", within, number, query, count, document_ids)


def nearest_sentences(
    connection: apsw.Connection, number: int, query: Vectors, count: int, document_ids: Sequence[str] = ()
) -> list[int]:
    """Like `nearest_passages`, of sentences."""
    within = (
        ""
        if not document_ids
        else " and sentence_id in (select id from sentences where document_id in (select value from json_each(?)))"
    )
    return _nearest(connection, "sentence", within, number, query, count, document_ids)


def _nearest(
    connection: apsw.Connection,
    kind: str,
    within: str,
    number: int,
    query: Vectors,
    count: int,
    document_ids: Sequence[str],
) -> list[int]:
    bound: list[bytes | int | str] = [query.tobytes(), min(count, _MOST_NEIGHBOURS), number]
    if document_ids:
        bound.append(json.dumps(list(document_ids)))
    rows: list[tuple[Any, ...]] = connection.execute(
        f"select {kind}_id from {kind}_vectors where embedding match ? and k = ? and base_number = ?{within}"
        " order by distance",
        bound,
    ).fetchall()
    return [row[0] for row in rows]


def _text(number: int) -> str:
    return f"base_{number:d}_text"


def _terms(number: int) -> str:
    return f"base_{number:d}_terms"


def _lengths(number: int) -> str:
    return f"base_{number:d}_lengths"
