"""`/ask`: one question outside of a chat, answered from the documents, whole or as a stream of events."""

from typing import Any

from flask import Blueprint, Response, request

from appliance.accounts.permissions import Permission
from appliance.apps import runs
from appliance.apps.answering import Question
from appliance.errors import by_code
from webui import connection, routing, shapes, sse
from webui.api.runs import translated
from webui.api.search import wanted_bases
from webui.routing import Call

api = Blueprint("ask", __name__)


class Ask(shapes.Shape):
    """All readable bases are searched when none is named."""

    question: shapes.Question
    base_ids: tuple[shapes.Identifier, ...] | None = None
    model: shapes.ModelId | None = None


@routing.route(api, "POST", "/ask", permission=Permission.CHAT, body=Ask)
def ask(call: Call, wish: Ask) -> Response:
    model = call.gateway.model(wish.model or "").id
    question = Question(
        text=wish.question,
        model=model,
        bases=wanted_bases(call, wish.base_ids),
        asker=call.asker,
        client=call.client,
    )
    place = routing.place(call)
    try:
        left = connection.watcher(request.environ)
        writer = runs.write_apart(lambda sink: _write(call, question, sink))
    except BaseException:
        place.close()
        raise
    if "text/event-stream" in request.headers.get("Accept", ""):
        events = translated(runs.follow(writer), call.language)
        return sse.response(sse.frames(events, left), writer.stop, place.close)
    with place:
        return routing.answer(_whole(writer, left))


def _write(call: Call, question: Question, sink: runs.Writer) -> None:
    answer = call.services.answering.answer(question, sink)
    call.services.audit.record(call.who.name, "asked", question.model, mode=answer.mode)
    sink.emit("done", message={"text": answer.text, **answer.body()})


def _whole(writer: runs.Writer, left: Any) -> dict[str, Any]:
    """The finished answer; a reader who leaves stops the writing."""
    for event in runs.follow(writer):
        if left():
            writer.stop()
        if event is not None and event.kind == "error":
            raise by_code(event.data["code"], **event.data["params"])
        if event is not None and event.kind == "done":
            message: dict[str, Any] = event.data["message"]
            return message
    raise by_code("HK-BOX-001")
