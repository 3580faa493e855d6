"""An error in the middle of a response's stream as its last event."""

from collections.abc import Iterator
from typing import Final

from appliance.errors import BusyError, CancelledError, HakoError
from webui import errors
from webui.dialects.responses_answer import ResponseWriter
from webui.dialects.responses_request import in_our_words
from webui.locales import Language
from webui.sse import Comment, Event

_OWN_FAULT: Final = 500


def told_failures(
    told: Iterator[Event | Comment | None], writer: ResponseWriter, language: Language
) -> Iterator[Event | Comment | None]:
    """The events, where an error becomes `response.failed`; nothing is told to who has left."""
    try:
        yield from told
    except CancelledError:
        return
    except HakoError as error:
        shown = errors.openai_body(in_our_words(error), error.status, language)["error"]
        yield from writer.fail({"code": _code(error), "message": shown["message"], "hako_code": error.code})


def _code(error: HakoError) -> str:
    """One of the few codes that OpenAI's clients know in a response."""
    if isinstance(error, BusyError):
        return "rate_limit_exceeded"
    return "server_error" if error.status >= _OWN_FAULT else "invalid_prompt"
