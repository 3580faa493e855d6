"""An engine's error object, in llama.cpp's shape, as one of ours."""

import json
import re
from http import HTTPStatus
from typing import Any

from appliance.errors import BadInputError, ContextTooLongError, HakoError, ModelFailedError, PictureError

_NO_PICTURE = "Failed to load image"
_TOO_LONG = re.compile(r"input \((\d{1,9}) tokens\) is too large to process.*\(current batch size: (\d{1,9})\)")
"""A text for a vector, which llama.cpp reads whole: an error of the server without figures of its own."""
_FIELDS = (
    *("grammar", "schema", "tools", "tool_choice", "messages", "logprobs", "stop", "response_format", "prompt"),
    *("logit_bias", "min_p", "presence_penalty", "frequency_penalty"),
)


def refusal(status: int, body: bytes, model: str) -> HakoError:
    """The error for an answer other than 200."""
    try:
        error = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        error = None
    return from_engine(error if isinstance(error, dict) else {}, model, status)


def from_engine(error: dict[str, Any], model: str, status: int = HTTPStatus.INTERNAL_SERVER_ERROR) -> HakoError:
    """The error for an error object, also for one in the middle of a stream."""
    message = str(error.get("message", ""))[:200]
    if error.get("type") == "exceed_context_size_error":
        tokens, limit = error.get("n_prompt_tokens"), error.get("n_ctx")
        return ContextTooLongError(message, tokens=int(tokens or 0), limit=int(limit or 0))
    if longer := _TOO_LONG.search(message):
        return ContextTooLongError(message, tokens=int(longer[1]), limit=int(longer[2]))
    if _NO_PICTURE in message:
        return PictureError(message, field="messages")
    if error.get("type") == "invalid_request_error" or status == HTTPStatus.BAD_REQUEST:
        lowered = message.lower()
        blamed = next((field for field in _FIELDS if field in lowered), "request")
        return BadInputError(message, field="response_format" if blamed == "schema" else blamed)
    return ModelFailedError(f"status {status}: {message}", name=model)
