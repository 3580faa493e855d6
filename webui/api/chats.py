"""`/chats` and `/messages`: a person's conversations, asking in them, branching, exporting."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

from flask import Blueprint, Response
from pydantic import AfterValidator, Field

from appliance.accounts.permissions import Permission
from appliance.apps.chats import Chat, GivenPreset, Message
from appliance.apps.conversations import demand_readable, readable
from appliance.clock import iso
from appliance.errors import NotFoundError, WrongModelKindError
from webui import locales, routing, shapes
from webui.api.documents import download
from webui.api.runs import with_title
from webui.locales import Language
from webui.routing import Call

api = Blueprint("chats", __name__)

_NAME_CHARS: Final = 60


def _each_once(ids: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(ids))


BaseIds = Annotated[tuple[shapes.Identifier, ...], Field(max_length=200), AfterValidator(_each_once)]


class Find(shapes.Shape):
    """Words looked for in titles and messages."""

    query: shapes.ShortText = ""


class NewChat(shapes.Shape):
    """The model and the bases that its questions use, and a preset whose words and parameters its answers follow."""

    model: shapes.ModelId | None = None
    base_ids: BaseIds = ()
    preset_id: shapes.Identifier | None = None


class Change(shapes.Shape):
    """What the owner may change of a chat. A `preset_id` of null takes the preset away."""

    title: shapes.Name | None = None
    model: shapes.ModelId | None = None
    base_ids: BaseIds | None = None
    preset_id: shapes.Identifier | None = None


class NewQuestion(shapes.Shape):
    """`parent_id`: the answer it follows; None for a first question, also for an edited one."""

    text: shapes.Question
    parent_id: shapes.Identifier | None = None


@routing.route(api, "GET", "/chats", permission=Permission.CONVERSATIONS, query=Find)
def list_chats(call: Call, query: Find) -> dict[str, Any]:
    chats = call.services.chats.list(call.user_id, query.query)
    return {"items": [{"id": chat.id, "title": chat.title, "updated_at": iso(chat.updated_at)} for chat in chats]}


@routing.route(api, "POST", "/chats", permission=Permission.CONVERSATIONS, body=NewChat, status=201)
def create(call: Call, wish: NewChat) -> dict[str, Any]:
    demand_readable(call.services.bases, call.who, wish.base_ids)
    preset = _given(call, wish.preset_id)
    chat = call.services.chats.create(call.user_id, _chat_model(call, wish.model), wish.base_ids, preset)
    return _describe(call, chat, [])


@routing.route(api, "GET", "/chats/<chat_id>", permission=Permission.CONVERSATIONS)
def show(call: Call, chat_id: str) -> dict[str, Any]:
    chat = call.services.chats.get(call.user_id, chat_id)
    return _describe(call, chat, call.services.chats.messages(call.user_id, chat_id))


@routing.route(api, "PATCH", "/chats/<chat_id>", permission=Permission.CONVERSATIONS, body=Change)
def change(call: Call, wish: Change, chat_id: str) -> dict[str, Any]:
    if wish.base_ids is not None:
        demand_readable(call.services.bases, call.who, wish.base_ids)
    preset = _given(call, wish.preset_id)
    chat = call.services.chats.update(
        call.user_id,
        chat_id,
        title=wish.title,
        model=None if wish.model is None else _chat_model(call, wish.model),
        base_ids=wish.base_ids,
    )
    if "preset_id" in wish.model_fields_set:
        chat = call.services.chats.give(call.user_id, chat_id, preset)
    return _describe(call, chat, call.services.chats.messages(call.user_id, chat_id))


@routing.route(api, "DELETE", "/chats/<chat_id>", permission=Permission.CONVERSATIONS)
def delete(call: Call, chat_id: str) -> None:
    for message in call.services.chats.messages(call.user_id, chat_id):
        run_id = call.services.runs.of_message(message.id) if message.state == "running" else None
        if run_id:
            call.services.runs.stop(run_id, call.user_id)
    call.services.chats.delete(call.user_id, chat_id)


@routing.route(api, "GET", "/chats/<chat_id>/export", permission=Permission.CONVERSATIONS)
def export(call: Call, chat_id: str) -> Response:
    """The whole chat as a Markdown file, sources included."""
    chat = call.services.chats.get(call.user_id, chat_id)
    text = markdown(chat, call.services.chats.messages(call.user_id, chat_id), call.language)
    name = "".join(sign for sign in chat.title if sign.isalnum() or sign in " -_")[:_NAME_CHARS].strip() or "chat"
    return download(iter([text.encode()]), f"{name}.md")


@routing.route(
    api, "POST", "/chats/<chat_id>/messages", permission=Permission.CONVERSATIONS, body=NewQuestion, status=201
)
def ask(call: Call, wish: NewQuestion, chat_id: str) -> dict[str, Any]:
    asked = call.services.conversations.ask(call.who, call.user_id, chat_id, wish.text, wish.parent_id)
    return _started(call, *asked)


@routing.route(api, "POST", "/messages/<message_id>/regenerate", permission=Permission.CONVERSATIONS, status=201)
def regenerate(call: Call, message_id: str) -> dict[str, Any]:
    return _started(call, *call.services.conversations.again(call.who, call.user_id, message_id))


@routing.route(api, "POST", "/messages/<message_id>/continue", permission=Permission.CONVERSATIONS, status=201)
def go_on(call: Call, message_id: str) -> dict[str, Any]:
    return _started(call, *call.services.conversations.go_on(call.who, call.user_id, message_id))


def _chat_model(call: Call, wish: str | None) -> str:
    model = call.gateway.model(wish or "")
    if model.kind != "chat":
        raise WrongModelKindError(name=model.name)
    return model.id


def _given(call: Call, preset_id: str | None) -> GivenPreset | None:
    """Raises NotFoundError: not there for this person."""
    return None if preset_id is None else GivenPreset.of(call.services.presets.get(call.who, preset_id))


def _described(call: Call, given: GivenPreset | None) -> dict[str, Any] | None:
    """What is in force; `state` says whether the preset it came from is still the same, was changed or is gone."""
    if given is None:
        return None
    try:
        now = GivenPreset.of(call.services.presets.get(call.who, given.id))
    except NotFoundError:
        state = "gone"
    else:
        state = "same" if now == given else "changed"
    return {"id": given.id, "name": given.name, "system": given.system, "sampling": given.sampling, "state": state}


def _started(call: Call, question: Message, answer: Message, run_id: str) -> dict[str, Any]:
    call.services.audit.record(call.who.name, "asked", question.chat_id)
    return {
        "question": _message(question, None, call.language),
        "answer": _message(answer, run_id, call.language),
        "run_id": run_id,
    }


def _describe(call: Call, chat: Chat, messages: Sequence[Message]) -> dict[str, Any]:
    """A chat with its messages; bases that can't be read any more are left out."""
    runs = call.services.runs
    return {
        "id": chat.id,
        "title": chat.title,
        "model": chat.model,
        "base_ids": [base.id for base in readable(call.services.bases, call.who, chat.base_ids)],
        "preset": _described(call, chat.preset),
        "messages": [
            _message(message, runs.of_message(message.id) if message.state == "running" else None, call.language)
            for message in messages
        ],
    }


def _message(message: Message, run_id: str | None, language: Language) -> dict[str, Any]:
    described = message.as_dict(run_id)
    if described["error"]:
        described["error"] = with_title(described["error"], language)
    return described


def markdown(chat: Chat, messages: Sequence[Message], language: Language) -> str:
    """The whole chat as text, sources included."""
    parts = [f"# {chat.title or locales.t('chat.untitled', language)}"]
    if chat.preset:
        words = chat.preset.system.strip().splitlines()
        named = locales.t("export.preset", language, name=chat.preset.name)
        parts.append("\n".join([named, *(["", *(f"> {line}" for line in words)] if words else [])]))
    for message in messages:
        who = locales.t(f"export.{message.role}", language)
        parts.append(f"## {who}\n\n{message.text}")
        for citation in message.body.get("citations", []):
            place = locales.t("cli.ask.page", language, document=citation["document"], page=citation["page"])
            parts.append(f"[{citation['n']}] {place}: {citation['quote'].strip()}")
    return "\n\n".join(parts) + "\n"
