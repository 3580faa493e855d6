"""A base asked as a model `kb:<name>` in Anthropic's words: `citations` and `verdict` beside the message's usage."""

from collections.abc import Iterator
from contextlib import ExitStack

from flask import Response

from appliance.apps import runs
from appliance.errors import HakoError
from webui import routing, sse
from webui.dialects import anthropic_errors, base_run
from webui.dialects.anthropic_answer import MessageWriter, usage
from webui.dialects.anthropic_request import MessagesBody
from webui.dialects.base_run import Answered, Left, Turn
from webui.dialects.headers import told_left_out
from webui.locales import Language
from webui.routing import Call
from webui.sse import Comment, Event


def create(call: Call, body: MessagesBody, left: Left, held: ExitStack) -> Response:
    """Answer the last question, whole or as a stream that takes over what is `held`."""
    turns = [Turn.of(message.as_engine()) for message in body.as_chat()]
    wish = body.tool_choice.as_engine() if body.tool_choice else None
    writer = base_run.ask(call, body.model, turns, wish)
    held.callback(writer.stop)
    message = MessageWriter(body.model)
    if body.stream:
        chunks = _streamed(writer, message, left, call.language)
        return sse.response(chunks, held.pop_all().close)
    found = base_run.whole(writer, left)
    for _ in _ended(message, found):
        pass
    return told_left_out(routing.answer(message.message), found.left_out)


def _streamed(writer: runs.Writer, message: MessageWriter, left: Left, language: Language) -> Iterator[bytes]:
    try:
        for happened in base_run.follow(writer, left):
            if happened is None:
                yield sse.HEARTBEAT
            elif isinstance(happened, Comment):
                yield happened.frame()
            elif isinstance(happened, Answered):
                yield from (event.frame() for event in _ended(message, happened))
            else:
                yield from (event.frame() for event in message.start())
                yield from (event.frame() for event in message.text(happened))
    except HakoError as error:
        yield Event("error", anthropic_errors.body(error, error.status, language)).frame()


def _ended(message: MessageWriter, answered: Answered) -> Iterator[Event]:
    """The end, with all that comes before it where nothing was told yet."""
    yield from message.start()
    if not message.message["content"]:
        yield from message.text(answered.text)
    counts = usage(answered.prompt_tokens, answered.tokens)
    reason = "max_tokens" if answered.cut else "end_turn"
    yield from message.end(reason, counts, citations=answered.citations, verdict=answered.verdict)
