"""`/v1/messages`: an engine's answer as Anthropic's message, whole or event by event, and its token count before."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from typing import Any

from flask import Blueprint, Response, g, request

from appliance.accounts.permissions import Permission
from appliance.errors import CancelledError, HakoError
from webui import connection, routing, sse
from webui.dialects import anthropic_base, anthropic_errors, base_run, engine, headers, opening
from webui.dialects.anthropic_answer import Translation
from webui.dialects.anthropic_request import MessagesBody, PromptBody
from webui.locales import Language
from webui.routing import Call
from webui.sse import Comment, Event

api = Blueprint("messages", __name__)


@api.after_request
def name_request(response: Response) -> Response:
    """Anthropic's clients show this header's value with every answer and error."""
    response.headers["request-id"] = g.get("request_id", "")
    return response


@routing.route(api, "POST", "/messages", permission=Permission.CHAT, body=MessagesBody)
def create(call: Call, body: MessagesBody) -> Response:
    left = connection.watcher(request.environ)
    with ExitStack() as held:
        held.enter_context(routing.place(call))
        if base_run.is_base(body.model):
            return anthropic_base.create(call, body, left, held)
        stream = opening.opened(call.gateway.open, body.model, body.as_engine(), left, streams=body.stream)
        held.callback(call.services.audit.record, call.who.name, "api-chat", body.model)
        held.enter_context(stream)
        translation = Translation(body.model, body.stop_sequences or ())
        told = translation.events(engine.chunks(stream, body.model))
        if body.stream:
            return headers.told(
                sse.response(framed(chain(stream.comments(), told), call.language), held.pop_all().close), stream
            )
        for _ in told:
            pass
        return headers.told(routing.answer(translation.message), stream)


@routing.route(api, "POST", "/messages/count_tokens", permission=Permission.CHAT, body=PromptBody)
def count_tokens(call: Call, body: PromptBody) -> dict[str, Any]:
    """A base's prompt depends on what is found in it, so only the question and its history are counted there."""
    left = connection.watcher(request.environ)
    model = body.model
    if base_run.is_base(model):
        base_run.find(call, model)
        model = call.gateway.model().id
    with routing.place(call):
        return {"input_tokens": call.gateway.count_prompt(model, body.as_engine(), stopped=left)}


def framed(told: Iterator[Event | Comment], language: Language) -> Iterator[bytes]:
    """The events on the wire; an error in the middle becomes Anthropic's error event."""
    try:
        for event in told:
            yield event.frame()
    except CancelledError:
        return
    except HakoError as error:
        yield Event("error", anthropic_errors.body(error, error.status, language)).frame()
