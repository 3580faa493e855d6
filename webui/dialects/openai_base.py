"""A base asked as a model in OpenAI's words: `citations` and `verdict` beside the text."""

from collections.abc import Callable, Iterator
from typing import Any

from flask import Response

from appliance.apps import runs
from webui import routing, sse
from webui.dialects import base_run
from webui.dialects.base_run import Answered, Turn
from webui.dialects.headers import told_left_out
from webui.dialects.openai_answer import Chunks, framed
from webui.dialects.openai_request import ChatBody
from webui.routing import Call
from webui.sse import Comment

Left = Callable[[], bool]
Chunk = dict[str, Any]


def complete(call: Call, body: ChatBody, left: Left, place: sse.Place) -> Response:
    """Answer the last question; what came before is history. Sampling parameters have no meaning here."""
    turns = [Turn.of(message.as_engine()) for message in body.messages]
    writer = base_run.ask(call, body.model, turns, body.tool_choice)
    if body.stream:
        wanted = (chunk for chunk in chunks(writer, body.model, left) if _is_wanted(chunk, body))
        return sse.response(framed(wanted, call.language), writer.stop, place.close)
    with place:
        found = base_run.whole(writer, left)
        return told_left_out(routing.answer(_completion(found, body.model)), found.left_out)


def chunks(writer: runs.Writer, model: str, left: Left) -> Iterator[Chunk | Comment | None]:
    """The answer as chunks, the counts in the last one; None or the place in line while nothing happens.

    Raises:
        HakoError: why there is no answer.
    """
    made = Chunks(model)
    yield made.delta({"role": "assistant", "content": ""})
    for happened in base_run.follow(writer, left):
        if happened is None or isinstance(happened, Comment):
            yield happened
        elif isinstance(happened, str):
            yield made.delta({"content": happened})
        else:
            yield made.delta({}, _finish(happened), citations=happened.citations, verdict=happened.verdict)
            yield made.usage(_usage(happened))


def _is_wanted(chunk: Chunk | Comment | None, body: ChatBody) -> bool:
    """All but the counts, which only some ask for."""
    wants_usage = body.stream_options is not None and bool(body.stream_options.include_usage)
    return chunk is None or isinstance(chunk, Comment) or bool(chunk["choices"]) or wants_usage


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


def _usage(found: Answered) -> dict[str, Any]:
    return {
        "prompt_tokens": found.prompt_tokens,
        "completion_tokens": found.tokens,
        "total_tokens": found.prompt_tokens + found.tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def _finish(found: Answered) -> str:
    return "length" if found.cut else "stop"
