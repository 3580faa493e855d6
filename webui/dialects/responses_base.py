"""A base asked as a model `kb:<name>` in a response: `citations` and `verdict` at its top level, places in its text."""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Final

from flask import Response

from appliance.apps import runs
from appliance.errors import CancelledError
from webui import routing, sse
from webui.dialects import base_run
from webui.dialects.base_run import Answered, Left, Turn
from webui.dialects.responses_answer import ResponseWriter, usage
from webui.dialects.responses_failure import told_failures
from webui.dialects.responses_items import Item
from webui.dialects.responses_request import ResponsesBody
from webui.routing import Call
from webui.sse import Comment, Event

_MARK: Final = re.compile(r"\[(\d{1,4})\]")


def create(
    call: Call, body: ResponsesBody, said: Sequence[Item], writer: ResponseWriter, left: Left, held: ExitStack
) -> Response:
    """Answer the last question, whole or as a stream that takes over what is `held`."""
    turns = [Turn.of(message) for message in body.as_chat(said)]
    run = base_run.ask(call, body.model, turns, body.tool_choice)
    held.callback(run.stop)
    told = _events(run, writer, left)
    if body.stream:
        return sse.response(sse.frames(told_failures(told, writer, call.language), left), held.pop_all().close)
    for _ in told:
        pass
    return routing.answer(writer.response)


def _events(run: runs.Writer, writer: ResponseWriter, left: Left) -> Iterator[Event | Comment | None]:
    yield from writer.start()
    for happened in base_run.follow(run, left):
        if happened is None or isinstance(happened, Comment):
            yield happened
        elif isinstance(happened, str):
            yield from writer.text(happened)
        else:
            yield from _ended(writer, happened)
            return
    raise CancelledError("the client has left")


def _ended(writer: ResponseWriter, answered: Answered) -> Iterator[Event]:
    """The end, with all that comes before it where nothing was told yet."""
    if not writer.response["output"]:
        yield from writer.text(answered.text)
    text = writer.response["output"][-1]["content"][0]["text"]
    yield from writer.annotations(_places(text, answered))
    counts = usage(answered.prompt_tokens, answered.tokens)
    yield from writer.end(counts, cut=answered.cut, citations=answered.citations, verdict=answered.verdict)


def _places(text: str, answered: Answered) -> list[dict[str, Any]]:
    """Each `[n]` of the text with the document behind it."""
    names = {citation["n"]: citation["document"] for citation in answered.citations}
    found = [(mark.start(), int(mark.group(1))) for mark in _MARK.finditer(text)]
    return [
        {"type": "file_citation", "file_id": answered.files[n], "filename": names[n], "index": index}
        for index, n in found
        if n in names
    ]
