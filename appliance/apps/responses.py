"""Responses: what a program asked and was answered, kept so that it can be continued; everything asks for the owner."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import apsw

from appliance import clock
from appliance.errors import BadInputError, NotFoundError
from appliance.storage.database import Database

KEEP: Final = 1000
"""Responses of one person; the oldest go first."""
KEEP_BYTES: Final = 256 << 20
"""Of one person's responses together, in which there may be pictures; the oldest go first, the newest stays."""
KEEP_S: Final = 30 * 24 * 3600
CHAIN: Final = 200
"""Responses in a row that one conversation may have."""

Item = dict[str, Any]

_COLUMNS: Final = "id, previous_id, input, answer, created_at"


@dataclass(frozen=True)
class Response:
    """One kept response: the items that came in with it, and the answer object as it was sent."""

    id: str
    previous_id: str | None
    input: Sequence[Item]
    answer: Mapping[str, Any]
    created_at: float


def _response(row: tuple[Any, ...]) -> Response:
    return Response(row[0], row[1], json.loads(row[2]), json.loads(row[3]), row[4])


class Responses:
    """Every look-up names the person who asks; another's response, and one that is too old, is NotFoundError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, user_id: str, response_id: str, previous_id: str | None, items: Sequence[Item], answer: Item) -> None:
        """Keep a response; nothing is kept for a person who is gone meanwhile."""
        now = clock.now()
        with self._database.write() as connection:
            connection.execute(
                "insert into responses (id, user_id, previous_id, input, answer, created_at)"
                " select ?, id, ?, ?, ?, ? from users where id = ?",
                (response_id, previous_id, json.dumps(items), json.dumps(answer), now, user_id),
            )
            connection.execute("delete from responses where created_at <= ?", (now - KEEP_S,))
            connection.execute(
                "delete from responses where id in (select id from responses where user_id = ?"
                " order by created_at desc, rowid desc limit -1 offset ?)",
                (user_id, KEEP),
            )
            connection.execute(
                "delete from responses where id in (select id from (select id,"
                " sum(length(input) + length(answer)) over newest as size, row_number() over newest as place"
                " from responses where user_id = ? window newest as (order by created_at desc, rowid desc))"
                " where size > ? and place > 1)",
                (user_id, KEEP_BYTES),
            )

    def ids(self, user_id: str) -> Sequence[str]:
        """Every response that is kept for this person, the oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(
                "select id from responses where user_id = ? and created_at > ? order by created_at, rowid",
                (user_id, clock.now() - KEEP_S),
            ).fetchall()
        return [str(row[0]) for row in rows]

    def get(self, user_id: str, response_id: str) -> Response:
        """Raises NotFoundError."""
        with self._database.read() as connection:
            return _owned(connection, user_id, response_id)

    def conversation(self, user_id: str, response_id: str) -> Sequence[Response]:
        """From the first response of the conversation down to this one.

        Raises:
            NotFoundError: this response or one before it is not there any more: a part of a conversation would
                give answers that don't fit.
            BadInputError: the conversation has become too long to go on.
        """
        found: list[Response] = []
        wanted: str | None = response_id
        with self._database.read() as connection:
            while wanted is not None:
                if len(found) == CHAIN:
                    raise BadInputError("conversation too long", field="previous_response_id")
                found.append(_owned(connection, user_id, wanted))
                wanted = found[-1].previous_id
        return found[::-1]

    def delete(self, user_id: str, response_id: str) -> None:
        """Erase a response. Raises NotFoundError."""
        with self._database.write() as connection:
            _owned(connection, user_id, response_id)
            connection.execute("delete from responses where id = ?", (response_id,))

    def sweep(self) -> None:
        """Erase what is too old."""
        with self._database.write() as connection:
            connection.execute("delete from responses where created_at <= ?", (clock.now() - KEEP_S,))


def _owned(connection: apsw.Connection, user_id: str, response_id: str) -> Response:
    row = connection.execute(
        f"select {_COLUMNS} from responses where id = ? and user_id = ? and created_at > ?",
        (response_id, user_id, clock.now() - KEEP_S),
    ).fetchone()
    if row is None:
        raise NotFoundError(response_id[:100])
    return _response(row)
