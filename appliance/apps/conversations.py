"""Conversations at work: a question starts a run that writes its answer into the chat."""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from appliance.accounts.permissions import Principal
from appliance.apps import prompts
from appliance.apps.answering import Answering, Question
from appliance.apps.chats import Chat, Chats, Message, State
from appliance.apps.prompts import Message as PromptMessage
from appliance.apps.runs import Runs, Writer
from appliance.errors import BadInputError, BusyError, DiskFullError, HakoError, NotFoundError
from appliance.knowledge.bases import Base, Bases
from appliance.knowledge.cite import Citation

_AGAIN_S = 3.0
"""Between two tries to store an answer while there is no room."""

Close = Callable[[str, str, State, dict[str, Any]], Message | None]
Record = tuple[str, str, State, dict[str, Any]]
"""Id, text, state and body of an answer that is to be closed."""


class Conversations:
    """Asks in the name of a person: chats are theirs alone, bases are those that they may read now."""

    def __init__(self, chats: Chats, runs: Runs, bases: Bases, answering: Answering) -> None:
        self._chats, self._runs, self._bases, self._answering = chats, runs, bases, answering
        self._unclosed: list[Record] = []
        """Answers that never began and could not be closed either."""

    def ask(
        self, who: Principal, user_id: str, chat_id: str, text: str, parent_id: str | None
    ) -> tuple[Message, Message, str]:
        """Store a question and start writing the answer; returns both and the run's id.

        Raises:
            NotFoundError: another's chat, or no such parent.
            ConflictError: the answer it follows is still being written.
        """
        self._demand_room(user_id)
        question, answer = self._chats.add_question(user_id, chat_id, text, parent_id)
        return question, answer, self._begin(who, user_id, question, answer)

    def again(self, who: Principal, user_id: str, message_id: str) -> tuple[Message, Message, str]:
        """Another answer beside an old one (`message_id`: the answer, or its question)."""
        self._demand_room(user_id)
        message = self._chats.message(user_id, message_id)
        question = message if message.role == "user" else self._chats.message(user_id, message.parent_id or "")
        answer = self._chats.add_answer(user_id, question)
        return question, answer, self._begin(who, user_id, question, answer)

    def go_on(self, who: Principal, user_id: str, message_id: str) -> tuple[Message, Message, str]:
        """Continue an answer that was cut at its length.

        Raises:
            BadInputError: it was not cut, or its words are the documents' own.
        """
        self._demand_room(user_id)
        answer = self._chats.message(user_id, message_id)
        cut = answer.body.get("stats", {}).get("finish") == "length"
        if answer.role != "assistant" or not cut or answer.body.get("mode") not in ("chat", "generated"):
            raise BadInputError(field="message")
        question = self._chats.message(user_id, answer.parent_id or "")
        self._chats.reopen(user_id, answer)
        return question, answer, self._begin(who, user_id, question, answer)

    def _demand_room(self, user_id: str) -> None:
        """Raises BusyError; before, close what an earlier full disk left open."""
        with suppress(BusyError, DiskFullError):
            while self._unclosed:
                self._chats.close_answer(*self._unclosed[0])
                del self._unclosed[0]
        self._runs.demand_room(user_id)

    def _begin(self, who: Principal, user_id: str, question: Message, answer: Message) -> str:
        """Start the run; an answer that can't begin is closed, for nothing can follow one that seems to be written."""
        try:
            return self._start(who, user_id, question, answer)
        except Exception as error:
            known = error if isinstance(error, HakoError) else HakoError()
            body = {"error": {"code": known.code, "params": known.params}}
            was: Record = (answer.id, answer.text, "failed", body)
            if answer.state != "running":  # one that was to go on is as it was
                was = (answer.id, answer.text, answer.state, answer.body)
            try:
                self._chats.close_answer(*was)
            except (BusyError, DiskFullError):
                self._unclosed.append(was)
            raise

    def _start(self, who: Principal, user_id: str, question: Message, answer: Message) -> str:
        chat = self._chats.get(user_id, question.chat_id)
        path = self._chats.path(user_id, question)
        work = _Work(
            question=Question(
                text=question.text,
                model=chat.model,
                bases=readable(self._bases, who, chat.base_ids),
                history=[_prompt(message) for message in path[:-1] if message.text],
                continued=answer.text,
                cited=[Citation(**citation) for citation in answer.body.get("citations", [])],
                system=chat.preset.system if chat.preset else "",
                sampling=chat.preset.sampling if chat.preset else {},
                asker=user_id,
            ),
            chat=chat,
            answer=answer,
            answering=self._answering,
            close=self._chats.close_answer,
        )
        return self._runs.start(user_id, answer.id, work)


def readable(bases: Bases, who: Principal, wanted: Iterable[str] | None = None) -> list[Base]:
    """The bases of `wanted` that this person may read now, all such bases for None.

    A base that was deleted or closed since a chat chose it is left out in silence: its words must not come back.
    """
    allowed = bases.readable(who)
    if wanted is None:
        return list(allowed)
    ids = set(wanted)
    return [base for base in allowed if base.id in ids]


def demand_readable(bases: Bases, who: Principal, wanted: Iterable[str]) -> list[Base]:
    """Like `readable`, for a request that names its bases.

    Raises:
        NotFoundError: one of them is not there for this person.
    """
    ids = set(wanted)
    found = readable(bases, who, ids)
    if len(found) != len(ids):
        raise NotFoundError("base")
    return found


def _prompt(message: Message) -> PromptMessage:
    """What was said before; an answer may hold a document's words, so it is made plain like one."""
    text = prompts.plain(message.text) if message.role == "assistant" else message.text
    return {"role": message.role, "content": text}


class _Work:
    """Writes one answer and closes its record, whatever happens."""

    def __init__(self, question: Question, chat: Chat, answer: Message, answering: Answering, close: Close) -> None:
        self._question, self._chat, self._answer = question, chat, answer
        self._answering, self._close = answering, close

    def __call__(self, writer: Writer) -> None:
        if self._chat.title:
            writer.emit("title", title=self._chat.title)
        try:
            written = self._answering.answer(self._question, writer)
        except HakoError as error:
            self._fail(writer, error)
            raise
        except Exception:
            self._fail(writer, HakoError())
            raise
        state: State = "stopped" if written.stats["finish"] == "cancelled" else "done"
        message = self._stored(writer, written.text, state, self._whole(written.body()))
        if message is None:  # the chat was deleted while it was written
            raise NotFoundError(self._answer.id)
        writer.emit("done", message=message.as_dict())

    def _fail(self, writer: Writer, error: HakoError) -> None:
        text = "".join(event.data["text"] for event in writer.events if event.kind == "delta")
        citations = [event.data for event in writer.events if event.kind == "citation"]
        earlier = self._answer.body
        body = {
            **earlier,
            "error": {"code": error.code, "params": error.params},
            "citations": [*earlier.get("citations", []), *citations],
        }
        self._stored(writer, text, "failed", body)

    def _whole(self, body: dict[str, Any]) -> dict[str, Any]:
        """With what is known of the beginning of an answer that was continued; `body` has its citations already."""
        earlier = self._answer.body
        if not self._question.continued:
            return body
        shift = len(self._question.continued)
        unsourced = [(start + shift, end + shift) for start, end in body["unsourced"]]
        tokens = earlier.get("stats", {}).get("tokens", 0) + body["stats"].get("tokens", 0)
        return {
            **body,
            **{name: earlier[name] for name in ("mode", "verdict", "sources") if name in earlier},
            "unsourced": [*earlier.get("unsourced", []), *unsourced],
            "stats": {**earlier.get("stats", {}), **body["stats"], "tokens": tokens},
        }

    def _stored(self, writer: Writer, text: str, state: State, body: dict[str, Any]) -> Message | None:
        """Close the record. While there is no room the reader is told, and the text waits here until there is."""
        while True:
            try:
                return self._close(self._answer.id, self._question.continued + text, state, body)
            except (BusyError, DiskFullError) as error:
                writer.emit("error", code=error.code, params=error.params)
                time.sleep(_AGAIN_S)
