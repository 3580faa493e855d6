"""Errors in the shape that Anthropic's clients parse."""

from typing import Any, Final

from flask import Response, g, request

from appliance.errors import BadInputError, BusyError, ContextTooLongError, HakoError
from webui import errors, locales
from webui.locales import Language

VERSION_HEADER: Final = "anthropic-version"
_TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    423: "api_error",
    429: "rate_limit_error",
}
_OWN_FAULT: Final = 500
_FIELDS: Final = {"response_format": "output_config", "grammar": "output_config"}
"""What an engine calls a field, and what the client called it."""


def body(error: HakoError, status: int, language: Language) -> dict[str, Any]:
    """The error object; also the data of an `error` event."""
    kind = _TYPES.get(status, "invalid_request_error" if status < _OWN_FAULT else "api_error")
    if isinstance(error, BusyError):
        kind = "overloaded_error"
    if isinstance(error, BadInputError):
        field = str(error.params.get("field", "")).replace(".function.parameters", ".input_schema")
        error = BadInputError(error.detail, field=_FIELDS.get(field, field))
    # Frameworks look for these words, for there is no code beside the type.
    mark = f"{error.code}, prompt is too long" if isinstance(error, ContextTooLongError) else error.code
    message = f"{locales.sentence(error, language)} ({mark})"
    return {"type": "error", "error": {"type": kind, "message": message, "hako_code": error.code}}


def answer(error: HakoError, status: int, language: Language) -> Response:
    """An error as Anthropic's clients expect it."""
    return errors.as_json(body(error, status, language) | {"request_id": g.get("request_id", "")}, status)


def by_header(error: HakoError, status: int, language: Language) -> Response:
    """For a path that OpenAI's and Anthropic's clients share: the latter always send their version."""
    shape = answer if VERSION_HEADER in request.headers else errors.openai
    return shape(error, status, language)
