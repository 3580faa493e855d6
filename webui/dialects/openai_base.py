"""A base asked as a model in OpenAI's words: `citations` and `verdict` beside the text."""

from collections.abc import Callable, Iterator
from typing import Any

from flask import Response

from appliance.apps import runs
from appliance.errors import HakoError
from webui import errors, routing, sse
from webui.dialects import base_run
from webui.dialects.base_run import Answered, Turn
from webui.dialects.openai_answer import DONE, Chunks, event
from webui.dialects.openai_request import ChatBody
from webui.locales import Language
from webui.routing import Call

Left = Callable[[], bool]


def complete(call: Call, body: ChatBody, left: Left, place: sse.Place) -> Response:
    """Answer the last question; what came before is history. Sampling parameters have no meaning here."""
    writer = base_run.ask(call, body.model, [Turn(message.role, message.text()) for message in body.messages])
    if body.stream:
        return sse.response(_streamed(writer, body, left, call.language), writer.stop, place.close)
    with place:
        return routing.answer(_completion(base_run.whole(writer, left), body.model))


def _streamed(writer: runs.Writer, body: ChatBody, left: Left, language: Language) -> Iterator[bytes]:
    chunks = Chunks(body.model)
    yield chunks.delta({"role": "assistant", "content": ""})
    try:
        for happened in base_run.follow(writer, left):
            if happened is None:
                yield sse.HEARTBEAT
            elif isinstance(happened, str):
                yield chunks.delta({"content": happened})
            else:
                more = {"citations": happened.citations, "verdict": happened.verdict}
                yield chunks.delta({}, _finish(happened), **more)
                if body.stream_options and body.stream_options.include_usage:
                    yield chunks.usage(_usage(happened))
                yield DONE
    except HakoError as error:
        yield event(errors.openai_body(error, error.status, language))


def _completion(found: Answered, model: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": found.text, "refusal": None}
    return {
        **Chunks(model).frame,
        "object": "chat.completion",
        "choices": [{"index": 0, "finish_reason": _finish(found), "message": message, "logprobs": None}],
        "usage": _usage(found),
        "citations": found.citations,
        "verdict": found.verdict,
    }


def _usage(found: Answered) -> dict[str, int]:
    return {
        "prompt_tokens": found.prompt_tokens,
        "completion_tokens": found.tokens,
        "total_tokens": found.prompt_tokens + found.tokens,
    }


def _finish(found: Answered) -> str:
    return "length" if found.cut else "stop"
