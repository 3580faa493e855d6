"""`/v1/chat/completions`: the engine's own bytes for a stream, put together for who does not stream."""

from collections.abc import Callable, Iterator
from typing import Any

from flask import Blueprint, Response, request

from appliance.accounts.permissions import Permission
from appliance.errors import CancelledError, HakoError
from webui import connection, errors, routing, sse
from webui.dialects import base_run, engine, headers, openai_base, opening, staying
from webui.dialects.openai_answer import Assembly, event, renamed
from webui.dialects.openai_request import ChatBody
from webui.dialects.opening import Opening
from webui.locales import Language
from webui.routing import Call

api = Blueprint("chat", __name__)

Left = Callable[[], bool]


@routing.route(api, "POST", "/chat/completions", permission=Permission.CHAT, body=ChatBody)
def complete(call: Call, body: ChatBody) -> Response:
    left = connection.watcher(request.environ)
    place = routing.place(call)
    try:
        if base_run.is_base(body.model):
            return openai_base.complete(call, body, left, place)
        stream = opening.opened(call.gateway.open, body.model, _engine_body(body), left, streams=body.stream)
    except BaseException:
        place.close()
        raise

    def close() -> None:
        stream.close()
        place.close()
        call.services.audit.record(call.who.name, "api-chat", body.model)
        staying.follow(call, body.model, body.ttl)

    if body.stream:
        chunks = _passed_on(stream, body.model, _named(call, body.model), call.language)
        return headers.told(sse.response(chunks, close), stream)
    try:
        return headers.told(routing.answer(_assembled(stream, body.model)), stream)
    finally:
        close()


def _engine_body(body: ChatBody) -> dict[str, Any]:
    asked = body.as_engine()
    wants_usage = not body.stream or (body.stream_options is not None and body.stream_options.include_usage)
    if wants_usage:
        asked["stream_options"] = {"include_usage": True}
    return asked


def _named(call: Call, model: str) -> str | None:
    """What the chunks have to call the model; None where the engine calls it that itself."""
    return None if call.gateway.aliases.is_model(model) else model


def _passed_on(stream: Opening, model: str, named: str | None, language: Language) -> Iterator[bytes]:
    """The engine's bytes, after what is told until there are any; an error becomes OpenAI's error event."""
    try:
        for comment in stream.comments():
            yield comment.frame()
        chunks = engine.own(stream, model)
        yield from chunks if named is None else renamed(chunks, named)
    except CancelledError:
        return
    except HakoError as error:
        yield event(errors.openai_body(error, error.status, language))


def _assembled(stream: Opening, model: str) -> dict[str, Any]:
    assembly = Assembly(model)
    for chunk in engine.chunks(stream, model):
        assembly.add(chunk)
    return assembly.completion()
