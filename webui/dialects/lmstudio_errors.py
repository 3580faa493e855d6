"""Errors in the shape that clients of LM Studio's `/api/v1` parse; `/api/v0` has OpenAI's."""

from typing import Any, Final

from flask import Response

from appliance.errors import HakoError, ModelNotFoundError
from webui import errors
from webui.locales import Language

_OWN_FAULT: Final = 500
_OUR_NAMES: Final = {"messages": "input"}
"""How this API calls what an engine calls otherwise."""


def body(error: HakoError, status: int, language: Language) -> dict[str, Any]:
    """The error object; also in an `error` event."""
    kind = "internal_error" if status >= _OWN_FAULT else "invalid_request"
    if isinstance(error, ModelNotFoundError):
        kind = "model_not_found"
    told: dict[str, Any] = errors.openai_body(error, status, language)["error"]
    return {"error": told | {"type": kind, "param": _OUR_NAMES.get(told["param"], told["param"])}}


def answer(error: HakoError, status: int, language: Language) -> Response:
    """An error as these clients expect it."""
    return errors.as_json(body(error, status, language), status)
