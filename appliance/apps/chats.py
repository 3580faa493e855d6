"""Conversations as stored records: chats and their tree of messages; everything asks for the owner."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

import apsw

from appliance import clock
from appliance.apps.presets import Preset, Sampling
from appliance.errors import ConflictError, NotFoundError
from appliance.storage.database import Database

State = Literal["running", "done", "stopped", "failed"]

_TITLE_CHARS = 40
_LIST_LIMIT = 500


@dataclass(frozen=True)
class GivenPreset:
    """What a chat took of a preset when it was chosen: neither a change nor the end of the preset reaches it."""

    id: str
    name: str
    system: str
    sampling: Sampling

    @classmethod
    def of(cls, preset: Preset) -> Self:
        """As the preset is now."""
        return cls(preset.id, preset.name, preset.system, preset.sampling)


@dataclass(frozen=True)
class Chat:
    """A conversation. `base_ids` are the bases that its questions search."""

    id: str
    user_id: str
    title: str
    model: str
    base_ids: tuple[str, ...]
    created_at: float
    updated_at: float
    preset: GivenPreset | None = None


@dataclass(frozen=True)
class Message:
    """One message; siblings (same parent) are branches. `body`: verdict, mode, citations, sources, stats, error."""

    id: str
    chat_id: str
    parent_id: str | None
    role: Literal["user", "assistant"]
    text: str
    state: State
    created_at: float
    body: dict[str, Any] = field(default_factory=dict)

    def as_dict(self, run_id: str | None = None) -> dict[str, Any]:
        """As the API and the event stream show it."""
        empty: dict[str, Any] = {"mode": None, "verdict": None, "stats": {}}
        empty |= {"citations": [], "sources": [], "unsourced": []}
        return {
            "id": self.id,
            "parent_id": self.parent_id,
            "role": self.role,
            "text": self.text,
            "state": self.state,
            "created_at": clock.iso(self.created_at),
            "run_id": run_id,
            "error": None,
        } | (empty | self.body if self.role == "assistant" else {})


_CHAT = "id, user_id, title, model, base_ids, created_at, updated_at, preset"
_MESSAGE = "id, chat_id, parent_id, role, text, state, created_at, body"


def _chat(row: tuple[Any, ...]) -> Chat:
    preset = GivenPreset(**json.loads(row[7])) if row[7] else None
    return Chat(row[0], row[1], row[2], row[3], tuple(json.loads(row[4])), row[5], row[6], preset)


def _stored(preset: GivenPreset | None) -> str | None:
    return json.dumps(asdict(preset)) if preset else None


def _message(row: tuple[Any, ...]) -> Message:
    return Message(row[0], row[1], row[2], row[3], row[4], row[5], row[6], json.loads(row[7]))


class Chats:
    """Every look-up names the person who asks; another's chat is NotFoundError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, user_id: str, model: str, base_ids: Iterable[str], preset: GivenPreset | None = None) -> Chat:
        """An empty chat; its title comes with the first question."""
        now = clock.now()
        chat = Chat(clock.new_id("chat"), user_id, "", model, tuple(base_ids), now, now, preset)
        with self._database.write() as connection:
            connection.execute(
                f"insert into chats ({_CHAT}) values (?, ?, ?, ?, ?, ?, ?, ?)",
                (chat.id, user_id, "", model, json.dumps(chat.base_ids), now, now, _stored(preset)),
            )
        return chat

    def list(self, user_id: str, query: str = "") -> Sequence[Chat]:
        """Newest first; `query` is looked for in titles and messages. Chats without a message are left out."""
        pattern = "%" + query.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        with self._database.read() as connection:
            rows = connection.execute(
                f"select {_CHAT} from chats where user_id = ?1"
                " and exists (select 1 from messages where chat_id = chats.id)"
                " and (?2 = '%%' or title like ?2 escape '\\' or exists"
                "   (select 1 from messages where chat_id = chats.id and text like ?2 escape '\\'))"
                " order by updated_at desc limit ?3",
                (user_id, pattern, _LIST_LIMIT),
            ).fetchall()
        return [_chat(row) for row in rows]

    def ids(self, user_id: str) -> Sequence[str]:
        """Every chat of this person's that has a message, the oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(
                "select id from chats where user_id = ? and exists (select 1 from messages where chat_id = chats.id)"
                " order by created_at, id",
                (user_id,),
            ).fetchall()
        return [str(row[0]) for row in rows]

    def get(self, user_id: str, chat_id: str) -> Chat:
        """Raises NotFoundError."""
        with self._database.read() as connection:
            return self._owned(connection, user_id, chat_id)

    def update(
        self,
        user_id: str,
        chat_id: str,
        *,
        title: str | None = None,
        model: str | None = None,
        base_ids: Iterable[str] | None = None,
    ) -> Chat:
        """Change what is given. A title given here is kept: no automatic one replaces it."""
        with self._database.write() as connection:
            chat = self._owned(connection, user_id, chat_id)
            connection.execute(
                "update chats set title = ?, titled = titled or ?, model = ?, base_ids = ? where id = ?",
                (
                    chat.title if title is None else title,
                    title is not None,
                    chat.model if model is None else model,
                    json.dumps(list(chat.base_ids if base_ids is None else base_ids)),
                    chat_id,
                ),
            )
            return self._owned(connection, user_id, chat_id)

    def give(self, user_id: str, chat_id: str, preset: GivenPreset | None) -> Chat:
        """Let its next answers follow that preset, or none. Raises NotFoundError."""
        with self._database.write() as connection:
            self._owned(connection, user_id, chat_id)
            connection.execute("update chats set preset = ? where id = ?", (_stored(preset), chat_id))
            return self._owned(connection, user_id, chat_id)

    def delete(self, user_id: str, chat_id: str) -> None:
        """Erase a chat, its messages and their runs."""
        with self._database.write() as connection:
            self._owned(connection, user_id, chat_id)
            connection.execute("delete from chats where id = ?", (chat_id,))

    def messages(self, user_id: str, chat_id: str) -> Sequence[Message]:
        """The whole tree, oldest first."""
        with self._database.read() as connection:
            self._owned(connection, user_id, chat_id)
            rows = connection.execute(
                f"select {_MESSAGE} from messages where chat_id = ? order by created_at, rowid", (chat_id,)
            ).fetchall()
        return [_message(row) for row in rows]

    def message(self, user_id: str, message_id: str) -> Message:
        """Raises NotFoundError."""
        with self._database.read() as connection:
            row = connection.execute(f"select {_MESSAGE} from messages where id = ?", (message_id,)).fetchone()
            if row is None:
                raise NotFoundError(message_id)
            self._owned(connection, user_id, row[1])
        return _message(row)

    def path(self, user_id: str, message: Message) -> Sequence[Message]:
        """From the first message of the chat down to `message`: what the model gets as history."""
        known = {other.id: other for other in self.messages(user_id, message.chat_id)}
        path = [message]
        while path[0].parent_id is not None and path[0].parent_id in known:
            path.insert(0, known[path[0].parent_id])
        return path

    def add_question(self, user_id: str, chat_id: str, text: str, parent_id: str | None) -> tuple[Message, Message]:
        """Store a question and the answer to come.

        Raises:
            NotFoundError: `parent_id` is not an answer of this chat.
            ConflictError: the answer it follows is still being written, e.g. in another browser.
        """
        with self._database.write() as connection:
            self._owned(connection, user_id, chat_id)
            if parent_id is not None:
                row = connection.execute(
                    "select state from messages where id = ? and chat_id = ? and role = 'assistant'",
                    (parent_id, chat_id),
                ).fetchone()
                if row is None:
                    raise NotFoundError(parent_id)
                if row[0] == "running":
                    raise ConflictError(name=_title(text))
            question = self._insert(connection, chat_id, parent_id, "user", text, "done")
            answer = self._insert(connection, chat_id, question.id, "assistant", "", "running")
            connection.execute(
                "update chats set updated_at = ?, title = case when title = '' and not titled then ? else title end"
                " where id = ?",
                (clock.now(), _title(text), chat_id),
            )
        return question, answer

    def add_answer(self, user_id: str, question: Message) -> Message:
        """Another answer to the same question, to be written."""
        with self._database.write() as connection:
            self._owned(connection, user_id, question.chat_id)
            connection.execute("update chats set updated_at = ? where id = ?", (clock.now(), question.chat_id))
            return self._insert(connection, question.chat_id, question.id, "assistant", "", "running")

    def reopen(self, user_id: str, message: Message) -> None:
        """Mark an answer as being written again (continued after a length cut). Raises ConflictError."""
        with self._database.write() as connection:
            self._owned(connection, user_id, message.chat_id)
            connection.execute(
                "update messages set state = 'running' where id = ? and state != 'running'", (message.id,)
            )
            if not connection.changes():
                raise ConflictError(name=_title(message.text))

    def close_answer(self, message_id: str, text: str, state: State, body: Mapping[str, Any]) -> Message | None:
        """Store what was written; None if the chat was deleted meanwhile."""
        with self._database.write() as connection:
            row = connection.execute(
                f"update messages set text = ?, state = ?, body = ? where id = ? returning {_MESSAGE}",
                (text, state, json.dumps(body), message_id),
            ).fetchone()
        return _message(row) if row else None

    @staticmethod
    def _owned(connection: apsw.Connection, user_id: str, chat_id: str) -> Chat:
        row = connection.execute(
            f"select {_CHAT} from chats where id = ? and user_id = ?", (chat_id, user_id)
        ).fetchone()
        if row is None:
            raise NotFoundError(chat_id)
        return _chat(row)

    @staticmethod
    def _insert(
        connection: apsw.Connection,
        chat_id: str,
        parent_id: str | None,
        role: Literal["user", "assistant"],
        text: str,
        state: State,
    ) -> Message:
        message = Message(clock.new_id("msg"), chat_id, parent_id, role, text, state, clock.now())
        connection.execute(
            f"insert into messages ({_MESSAGE}) values (?, ?, ?, ?, ?, ?, ?, ?)",
            (message.id, chat_id, parent_id, role, text, state, message.created_at, "{}"),
        )
        return message


def _title(text: str) -> str:
    """The beginning of a question as a title: its first line, cut at a word where there is one."""
    line = " ".join(text.strip().split("\n", 1)[0].split())
    if len(line) <= _TITLE_CHARS:
        return line
    cut = line[:_TITLE_CHARS]
    space = cut.rfind(" ")
    return (cut[:space] if space > _TITLE_CHARS // 2 else cut) + "…"
