"""`/v1/responses`: an engine's answer as OpenAI's response, whole or event by event, and kept to go on from."""

from collections.abc import Iterator
from contextlib import ExitStack

from flask import Blueprint, Response, request

from appliance.accounts.permissions import Permission
from appliance.errors import HakoError
from webui import connection, routing, sse
from webui.dialects import base_run, headers, responses_base, responses_state
from webui.dialects.responses_answer import ResponseWriter, Translation
from webui.dialects.responses_failure import told_failures
from webui.dialects.responses_request import ResponsesBody, conversation, in_our_words
from webui.dialects.responses_run import EngineRun
from webui.routing import Call
from webui.sse import Comment, Event

api = Blueprint("responses", __name__)


@routing.route(api, "POST", "/responses", permission=Permission.CHAT, body=ResponsesBody)
def create(call: Call, body: ResponsesBody) -> Response:
    body.check()
    items = body.items()
    said = conversation(responses_state.before(call, body.previous_response_id), items)
    shelf = responses_state.Shelf(call, items, body.previous_response_id, body.store)
    writer = ResponseWriter(body.model, body.echo(), store=shelf.stores, keep=shelf.keep)
    left = connection.watcher(request.environ)
    with ExitStack() as held:
        held.enter_context(routing.place(call))
        try:
            if base_run.is_base(body.model):
                return responses_base.create(call, body, said, writer, left, held)
            run = held.enter_context(EngineRun(call.gateway, body.model, body.as_engine(said), left))
            # Who streams is not left without a word: what fails later than this is told within the stream.
            run.wait(within_s=sse.HEARTBEAT_S if body.stream else None)
            held.callback(call.services.audit.record, call.who.name, "api-responses", body.model)
            told = _events(run, writer)
            if body.stream:
                chunks = sse.frames(told_failures(told, writer, call.language), left)
                response = sse.response(chunks, held.pop_all().close)
            else:
                for _ in told:
                    pass
                response = routing.answer(writer.response)
        except HakoError as error:
            raise in_our_words(error) from None
    return headers.told(response, run)


def _events(run: EngineRun, writer: ResponseWriter) -> Iterator[Event | Comment | None]:
    translation = Translation(writer)
    yield from writer.start()
    for chunk in run.chunks():
        if chunk is None or isinstance(chunk, Comment):
            yield chunk
        else:
            yield from translation.add(chunk)
    yield from translation.end()
