"""From an error to an answer: problem+json, an OpenAI error or a page; never an exception's own text."""

import json
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Final

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from appliance import logs
from appliance.config import Settings
from appliance.errors import (
    BadInputError,
    BusyError,
    ChatTooLongError,
    ContextTooLongError,
    HakoError,
    KeyRateError,
    ModelChangedError,
    ModelDamagedError,
    ModelNotFoundError,
    ModelQuarantinedError,
    ModelTooLargeError,
    NotFoundError,
    TooLargeError,
)
from webui import locales, session
from webui.locales import Language

log = logs.get(__name__)

Page = Callable[[HakoError, int], Response]
Shape = Callable[[HakoError, int, Language], Response]
"""An error as the clients of one dialect read it."""

_OPENAI_TYPES: Final = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_OPENAI_CODES: Final[dict[type[HakoError], str]] = {
    ChatTooLongError: "context_length_exceeded",
    ContextTooLongError: "context_length_exceeded",
    KeyRateError: "rate_limit_exceeded",
    ModelNotFoundError: "model_not_found",
}
_OWN_FAULT: Final = 500
_FOR_GOOD: Final = (ModelChangedError, ModelDamagedError, ModelQuarantinedError, ModelTooLargeError)
"""Faults that last until an operator does something: OpenAI's and Anthropic's clients would ask twice again."""
_LATER: Final = (429, 503)
_LATER_S: Final = 5
"""When to ask again where nobody knows it better."""


def install(app: Flask, settings: Settings, shapes: Mapping[str, Shape], page: Page | None = None) -> None:
    """Answer every error of `app`.

    `shapes` tells below which path the clients of which dialect are, also where no route is; the longest path wins,
    and the empty one is every path. `page` draws the HTML one, where there are pages.
    """

    def answer(error: HakoError, status: int) -> Response:
        if status >= _OWN_FAULT and not isinstance(error, BusyError):
            log.warning("request_failed", code=error.code, detail=error.detail, rule=_rule())
        return _with_hints(_shaped(error, status, session.language(settings), shapes, page), error, status)

    def known(error: HakoError) -> Response:
        return answer(error, error.status)

    def http(error: HTTPException) -> Response:
        if isinstance(error, RequestRedirect):
            return Response(status=error.code, headers={"Location": error.new_url})
        hako, status = from_http(error, settings)
        response = answer(hako, status)
        for name, value in error.get_headers():
            if name == "Allow":
                response.headers[name] = value
        return response

    def unknown(error: Exception) -> Response:
        log.error("unexpected_error", kind=type(error).__name__, at=_frames(error), rule=_rule())
        return answer(HakoError(), HakoError.status)

    app.register_error_handler(HakoError, known)
    app.register_error_handler(HTTPException, http)
    app.register_error_handler(Exception, unknown)


def _shaped(
    error: HakoError, status: int, language: Language, shapes: Mapping[str, Shape], page: Page | None
) -> Response:
    """The error in the form that this request's client reads."""
    below = [path for path in shapes if f"{request.path}/".startswith(f"{path}/")]
    if below:
        return shapes[max(below, key=len)](error, status, language)
    if page is None or not _wants_page():
        return problem(error, status, language)
    return page(error, status)


def from_http(error: HTTPException, settings: Settings) -> tuple[HakoError, int]:
    """Flask's and werkzeug's own refusals as errors of ours, with the status they came with."""
    status = error.code or _OWN_FAULT
    if status == NotFoundError.status:
        return NotFoundError(), status
    if status == TooLargeError.status:
        return TooLargeError(limit_mb=settings.limits.body_mb), status
    if status >= _OWN_FAULT:
        return HakoError(error.name), _OWN_FAULT
    field = {405: "method", 415: "content-type"}.get(status, "request")
    return BadInputError(error.name, field=field), status


def body(error: HakoError, status: int, language: Language) -> dict[str, Any]:
    """The members of a problem document."""
    return {
        "status": status,
        "code": error.code,
        "title": locales.sentence(error, language),
        "params": error.params,
    }


def problem(error: HakoError, status: int, language: Language) -> Response:
    """RFC 9457."""
    return Response(_json(body(error, status, language)), status, content_type="application/problem+json")


def openai_body(error: HakoError, status: int, language: Language) -> dict[str, Any]:
    """The shape that OpenAI's clients parse; `hako_code` beside their own vocabulary."""
    kind = _OPENAI_TYPES.get(status, "invalid_request_error" if status < _OWN_FAULT else "server_error")
    return {
        "error": {
            "message": f"{locales.sentence(error, language)} ({error.code})",
            "type": kind,
            "param": error.params.get("field"),
            "code": _OPENAI_CODES.get(type(error), error.code),
            "hako_code": error.code,
        }
    }


def openai(error: HakoError, status: int, language: Language) -> Response:
    """An error as OpenAI's clients expect it."""
    return as_json(openai_body(error, status, language), status)


def as_json(content: dict[str, Any], status: int) -> Response:
    """A dialect's error object as its answer."""
    return Response(_json(content), status, content_type="application/json")


def _with_hints(response: Response, error: HakoError, status: int) -> Response:
    if isinstance(error, _FOR_GOOD):
        response.headers["x-should-retry"] = "false"
    elif "retry_after_s" in error.params:
        response.headers["Retry-After"] = str(int(error.params["retry_after_s"]) or 1)
    elif status in _LATER:
        response.headers["Retry-After"] = str(_LATER_S)
    if status == 401 and response.mimetype != "text/html":
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _wants_page() -> bool:
    best = request.accept_mimetypes.best_match(["text/html", "application/json", "application/problem+json"])
    return best in (None, "text/html")


def _rule() -> str:
    return f"{request.method} {request.url_rule.rule}" if request.url_rule else request.method


def _frames(error: Exception) -> str:
    """Where it happened, without the exception's text, which may quote what a person sent."""
    summary = traceback.extract_tb(error.__traceback__ or sys.exc_info()[2], limit=-6)
    return " < ".join(f"{frame.filename.rsplit('/', 2)[-1]}:{frame.lineno} {frame.name}" for frame in reversed(summary))


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False)
