"""Everything of one person's as files of an archive: account, keys, chats, presets, documents of their own bases."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from appliance import clock
from appliance.clock import iso
from appliance.errors import HakoError, NotFoundError
from appliance.knowledge.bases import Base
from webui import locales
from webui.api import chats, keys, presets
from webui.archive import Entry, Names
from webui.routing import Call

_NUMBER: Final = "{:04}"


@dataclass
class _Missing:
    """What is the person's and could not be read."""

    files: list[dict[str, str]]

    def note(self, name: str, error: HakoError) -> None:
        self.files.append({"file": name, "code": error.code})


def files(call: Call) -> Iterator[Entry]:
    """One after the other, each read when it is asked for; what is deleted meanwhile is left out.

    What is damaged on the box is named in the last file, so that it doesn't keep the rest from anybody.
    """
    missing = _Missing([])
    yield _text("README.txt", locales.t("export.readme", call.language, name=call.who.name))
    yield _json("account.json", _account(call))
    yield _json("api-keys.json", [keys.describe(key) for key in call.services.api_keys.list(call.user_id)])
    yield from _chats(call)
    yield from _responses(call)
    yield from _presets(call)
    yield from _documents(call, missing)
    if missing.files:
        yield _json("not-readable.json", missing.files)


def _account(call: Call) -> dict[str, Any]:
    user = call.services.users.get(call.user_id)
    sessions = call.services.sessions.list(call.user_id)
    return {
        "id": user.id,
        "name": user.name,
        "display_name": user.display_name,
        "role": user.role,
        "language": user.language,
        "theme": user.theme,
        "created_at": iso(user.created_at),
        "sessions": [
            {"created_at": iso(each.created_at), "seen_at": iso(each.seen_at), "user_agent": each.user_agent}
            for each in sessions
        ],
    }


def _chats(call: Call) -> Iterator[Entry]:
    store = call.services.chats
    for number, chat_id in enumerate(store.ids(call.user_id), 1):
        try:
            chat, messages = store.get(call.user_id, chat_id), store.messages(call.user_id, chat_id)
        except NotFoundError:
            continue
        stem = f"chats/{_NUMBER.format(number)} {Names().new(chat.title, 'chat', '')}"
        told = {
            "id": chat.id,
            "title": chat.title,
            "model": chat.model,
            "created_at": iso(chat.created_at),
            "updated_at": iso(chat.updated_at),
            "preset": chat.preset and {"name": chat.preset.name, "system": chat.preset.system},
            "messages": [message.as_dict() for message in messages],
        }
        yield _json(f"{stem}.json", told, chat.updated_at)
        yield _text(f"{stem}.md", chats.markdown(chat, messages, call.language), chat.updated_at)


def _responses(call: Call) -> Iterator[Entry]:
    """What programs asked through the person's keys, and that the box keeps for them."""
    store = call.services.responses
    for number, response_id in enumerate(store.ids(call.user_id), 1):
        try:
            kept = store.get(call.user_id, response_id)
        except NotFoundError:
            continue
        told = {
            "id": kept.id,
            "previous_response_id": kept.previous_id,
            "created_at": iso(kept.created_at),
            "input": kept.input,
            "answer": kept.answer,
        }
        yield _json(f"responses/{_NUMBER.format(number)}.json", told, kept.created_at)


def _presets(call: Call) -> Iterator[Entry]:
    names = Names()
    for preset in call.services.presets.list(call.who):
        if preset.owner_id == call.user_id:
            name = names.new(preset.name, "preset", ".json")
            yield _json(f"presets/{name}", presets.as_file(preset), preset.updated_at)


def _documents(call: Call, missing: _Missing) -> Iterator[Entry]:
    folders = Names()
    for base in call.services.bases.readable(call.who):
        if base.owner_id != call.user_id:
            continue
        folder = f"documents/{folders.new(base.name, 'base', '')}"
        yield _json(f"{folder}/base.json", _base(base))
        names = Names()
        names.new("base.json", "base")
        try:
            documents = call.services.documents.list(call.who, base.id)
        except NotFoundError:
            continue
        for document in documents:
            name = f"{folder}/{names.new(document.name, 'document')}"
            try:
                _same, chunks = call.services.documents.original(call.who, document.id)
                first = next(chunks, b"")  # damage is seen here, for all but large files
            except NotFoundError:
                continue
            except HakoError as error:
                missing.note(name, error)
                continue
            pieces = _whole(first, chunks, lambda error, name=name: missing.note(name, error))  # type: ignore[misc]
            yield Entry(name, pieces, document.created_at, document.size)


def _whole(first: bytes, rest: Iterator[bytes], failed: Callable[[HakoError], None]) -> Iterator[bytes]:
    """The file; one that turns out to be damaged ends there, and that is noted."""
    yield first
    try:
        yield from rest
    except HakoError as error:
        failed(error)


def _base(base: Base) -> dict[str, Any]:
    return {"id": base.id, "name": base.name, "description": base.description, "visibility": base.visibility}


def _json(name: str, content: Any, at: float | None = None) -> Entry:
    return _text(name, json.dumps(content, ensure_ascii=False, indent=1) + "\n", at)


def _text(name: str, text: str, at: float | None = None) -> Entry:
    content = text.encode("utf-8", "replace")
    return Entry(name, iter([content]), clock.now() if at is None else at, len(content))


def filename(call: Call) -> str:
    """What the archive is called: the account and the day."""
    return f"hako-{call.who.name}-{iso(clock.now())[:10]}.zip"
