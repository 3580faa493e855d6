"""A base asked as a model `kb:<name>`: an answer from its documents, with `citations` beside the text."""

from collections.abc import Callable, Iterator
from typing import Any

from flask import Response

from appliance.apps import runs
from appliance.apps.answering import Question
from appliance.errors import BadInputError, HakoError, ModelNotFoundError, by_code
from appliance.knowledge.bases import Base
from webui import errors, routing, sse
from webui.dialects.openai_answer import DONE, Chunks, citations, event, usage
from webui.dialects.openai_models import BASE_PREFIX
from webui.dialects.openai_request import ChatBody
from webui.locales import Language
from webui.routing import Call

Left = Callable[[], bool]


def complete(call: Call, body: ChatBody, left: Left, place: sse.Place) -> Response:
    """Answer the last question; what came before is history. Sampling parameters have no meaning here."""
    question = _question(call, body)
    writer = runs.write_apart(lambda sink: _write(call, question, sink))
    if body.stream:
        chunks = _streamed(writer, body, left, call.language)
        return sse.response(chunks, writer.stop, place.close)
    with place:
        return routing.answer(_whole(writer, body.model, left))


def _question(call: Call, body: ChatBody) -> Question:
    if body.messages[-1].role != "user":
        raise BadInputError("the last message is no question", field="messages")
    text = body.messages[-1].text()
    if not text.strip():
        raise BadInputError("blank question", field="messages")
    return Question(
        text=text,
        model=call.services.gateway.model().id,
        bases=[_base(call, body.model.removeprefix(BASE_PREFIX))],
        history=[
            {"role": message.role, "content": message.text()}
            for message in body.messages[:-1]
            if message.role in ("user", "assistant")
        ],
    )


def _base(call: Call, name: str) -> Base:
    for base in call.services.bases.readable(call.who):
        if name in (base.name, base.id):
            return base
    raise ModelNotFoundError(name=(BASE_PREFIX + name)[:100])


def _write(call: Call, question: Question, sink: runs.Writer) -> None:
    answer = call.services.answering.answer(question, sink)
    call.services.audit.record(call.who.name, "asked", question.bases[0].id)
    sink.emit("done", text=answer.text, body=answer.body(), usage=usage(answer))


def _streamed(writer: runs.Writer, body: ChatBody, left: Left, language: Language) -> Iterator[bytes]:
    chunks = Chunks(body.model)
    yield chunks.delta({"role": "assistant", "content": ""})
    for happened in runs.follow(writer):
        if left():
            return
        if happened is None:
            yield sse.HEARTBEAT
        elif happened.kind == "delta":
            yield chunks.delta({"content": happened.data["text"]})
        elif happened.kind == "error":
            error = by_code(happened.data["code"], **happened.data["params"])
            yield event(errors.openai_body(error, error.status, language))
            return
        elif happened.kind == "done":
            found = happened.data["body"]
            finish = "length" if found["stats"]["finish"] == "length" else "stop"
            yield chunks.delta({}, finish, citations=citations(found["citations"]), verdict=found["verdict"])
            if body.stream_options and body.stream_options.include_usage:
                yield chunks.usage(happened.data["usage"])
            yield DONE


def _whole(writer: runs.Writer, model: str, left: Left) -> dict[str, Any]:
    for happened in runs.follow(writer):
        if left():
            writer.stop()
        if happened is not None and happened.kind == "error":
            raise by_code(happened.data["code"], **happened.data["params"])
        if happened is not None and happened.kind == "done":
            return _completion(happened.data, model)
    raise HakoError("run without an end")


def _completion(done: dict[str, Any], model: str) -> dict[str, Any]:
    found = done["body"]
    chunks = Chunks(model)
    message = {"role": "assistant", "content": done["text"], "refusal": None}
    finish = "length" if found["stats"]["finish"] == "length" else "stop"
    return {
        **chunks.frame,
        "object": "chat.completion",
        "choices": [{"index": 0, "finish_reason": finish, "message": message, "logprobs": None}],
        "usage": done["usage"],
        "citations": citations(found["citations"]),
        "verdict": found["verdict"],
    }
