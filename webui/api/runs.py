"""`/runs`: the writing of an answer as a stream of numbered events, and stopping it."""

from collections.abc import Iterator
from typing import Annotated, Any, Final

from flask import Blueprint, Response, request
from pydantic import Field

from appliance.accounts.permissions import Permission
from appliance.apps.runs import RunEvent
from appliance.errors import HakoError, by_code
from webui import connection, locales, routing, shapes, sse
from webui.locales import Language
from webui.routing import Call

api = Blueprint("runs", __name__)

_MOST_EVENTS: Final = 2**31


class After(shapes.Shape):
    """The last event that the reader has; a browser that reconnects says it in a header instead."""

    after: Annotated[int, Field(ge=0, le=_MOST_EVENTS)] | None = None


@routing.route(api, "GET", "/runs/<run_id>/events", permission=Permission.CONVERSATIONS, query=After)
def events(call: Call, query: After, run_id: str) -> Response:
    place = routing.box().places.take(call.user_id)
    try:
        after = query.after if query.after is not None else _last_seen()
        followed = call.services.runs.follow(run_id, call.user_id, after)
        left = connection.watcher(request.environ)
    except BaseException:
        place.close()
        raise
    return sse.response(sse.frames(translated(followed, call.language), left), place.close)


@routing.route(api, "POST", "/runs/<run_id>/stop", permission=Permission.CONVERSATIONS)
def stop(call: Call, run_id: str) -> None:
    call.services.runs.stop(run_id, call.user_id)


def _last_seen() -> int:
    given = request.headers.get("Last-Event-Id", "")
    return int(given) if given.isascii() and given.isdigit() and len(given) <= 9 else 0


def translated(followed: Iterator[RunEvent | None], language: Language) -> Iterator[sse.Event | None]:
    """Stored events carry codes; each reader gets sentences in their own language."""
    for event in followed:
        if event is None:
            yield None
        else:
            yield sse.Event(event.kind, in_language(event.kind, event.data, language), event.number)


def in_language(kind: str, data: dict[str, Any], language: Language) -> dict[str, Any]:
    """An event's data with its error as a sentence, if it has one."""
    if kind == "error":
        return with_title(data, language)
    message = data.get("message")
    if kind == "done" and isinstance(message, dict) and message.get("error"):
        return {**data, "message": {**message, "error": with_title(message["error"], language)}}
    return data


def described(error: HakoError, language: Language) -> dict[str, Any]:
    """An error as a stream's event or an answer's field tells it."""
    return with_title({"code": error.code, "params": error.params}, language)


def with_title(error: dict[str, Any], language: Language) -> dict[str, Any]:
    """`{code, params}` with the sentence for it."""
    known = by_code(error["code"], **error.get("params", {}))
    return {"code": error["code"], "title": locales.sentence(known, language), "params": known.params}
