"""LM Studio's `/api/v1/chat`: one question, answered as a whole or event by event; nothing of it is kept."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from flask import Blueprint, Response, request

from appliance.accounts.permissions import Permission
from appliance.errors import CancelledError, HakoError, WrongModelKindError
from appliance.gateway import pictures
from appliance.gateway.gateway import ModelInfo
from webui import connection, routing, sse
from webui.dialects import base_run, engine, lmstudio_errors, openai_base
from webui.dialects.base_run import Left
from webui.dialects.lmstudio_answer import Reply
from webui.dialects.lmstudio_request import ChatBody
from webui.locales import Language
from webui.routing import Call
from webui.sse import Event

api = Blueprint("chat", __name__)


@routing.route(api, "POST", "/chat", permission=Permission.CHAT, body=ChatBody)
def chat(call: Call, body: ChatBody) -> Response:
    left = connection.watcher(request.environ)
    body.question()  # refuses what the box can't do, before anything is loaded
    with ExitStack() as held:
        held.enter_context(routing.place(call))
        reply, told = _begin(call, body, left, held.enter_context(ExitStack()))
        if body.stream:
            return sse.response(_framed(reply, told, call.language), held.pop_all().close)
        for _ in told:
            pass
        return routing.answer(reply.result())


def _begin(call: Call, body: ChatBody, left: Left, held: ExitStack) -> tuple[Reply, Iterator[Event | None]]:
    """The answer's writer and its events; what they hold, also later, is given back when `held` is closed."""
    if base_run.is_base(body.model):
        writer = base_run.ask(call, body.model, body.turns())
        held.callback(writer.stop)
        reply = Reply(body.model, call.gateway.model())
        return reply, reply.events(openai_base.chunks(writer, body.model, left))
    model = call.gateway.model(body.model)
    if model.kind != "chat":
        raise WrongModelKindError(name=model.name)
    reply = Reply(model.id, model)
    if _is_loaded(call, model):
        # Before the first event, so that what the engine refuses is an answer's status and not an event.
        return reply, reply.events(_open(call, model, body, left, held))
    _, seen = pictures.checked(body.as_engine())
    if model.engine != "remote":
        pictures.demand_sight(model, seen)  # before it is loaded for nothing
    return reply, _loaded_first(call, reply, model, body, left, held)


def _is_loaded(call: Call, model: ModelInfo) -> bool:
    return any(known.id == model.id and known.state == "loaded" for known in call.gateway.models())


def _loaded_first(
    call: Call, reply: Reply, model: ModelInfo, body: ChatBody, left: Left, held: ExitStack
) -> Iterator[Event | None]:
    yield from reply.load_begins()
    call.gateway.count_tokens([""], model.id, stopped=left)
    yield from reply.load_ended()
    yield from reply.events(_open(call, model, body, left, held))


def _open(call: Call, model: ModelInfo, body: ChatBody, left: Left, held: ExitStack) -> Iterator[dict[str, Any] | None]:
    stream = call.gateway.open(model.id, body.as_engine(), stopped=left)
    held.callback(call.services.audit.record, call.who.name, "api-chat", model.id)
    held.enter_context(stream)
    return iter(engine.chunks(stream, model.id))


def _framed(reply: Reply, told: Iterator[Event | None], language: Language) -> Iterator[bytes]:
    """The events on the wire; an error in the middle is an event, and what was written until then ends the stream."""
    yield reply.start().frame()
    try:
        for event in told:
            yield sse.HEARTBEAT if event is None else event.frame()
    except CancelledError:
        return
    except HakoError as error:
        yield Event("error", {"type": "error", **lmstudio_errors.body(error, error.status, language)}).frame()
    yield reply.end().frame()
