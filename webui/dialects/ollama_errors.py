"""Errors as Ollama's clients read them: one sentence under `error`."""

from typing import Any, Final

from flask import Response

from appliance.errors import BadInputError, HakoError, ModelNotFoundError, NoThinkingError
from webui import errors, locales
from webui.locales import Language

_FIELDS: Final = {"response_format": "format", "schema": "format", "grammar": "format", "stop": "options.stop"}
"""What an engine calls a field, and what the client called it."""


def body(error: HakoError, language: Language) -> dict[str, Any]:
    """The object; also one line in the middle of a stream."""
    if isinstance(error, BadInputError):
        field = str(error.params.get("field", ""))
        error = BadInputError(error.detail, field=_FIELDS.get(field, field))
    code = error.code
    if isinstance(error, NoThinkingError):
        code += ", does not support thinking"  # programs look for these words, and ask again without `think`
    said = f"{locales.sentence(error, language)} ({code})"
    if isinstance(error, ModelNotFoundError):
        said = f"model '{error.params.get('name', '')}' not found: {said}"  # the words that clients look for
    return {"error": said, "hako_code": error.code}


def response(error: HakoError, status: int, language: Language) -> Response:
    """The whole answer."""
    return errors.as_json(body(error, language), status)
