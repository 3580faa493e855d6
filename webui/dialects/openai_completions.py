"""`/v1/completions`, OpenAI's older way: a bare text goes on, without roles and without a template."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Annotated, Any, Final

from flask import Blueprint, Response, request
from pydantic import Field, field_validator

from appliance import clock
from appliance.accounts.permissions import Permission
from appliance.errors import BadInputError
from webui import connection, routing, shapes, sse
from webui.dialects import base_run, engine, headers, opening
from webui.dialects.openai_answer import framed
from webui.dialects.openai_request import Penalty, StreamOptions, fold_seed
from webui.routing import Call

api = Blueprint("completions", __name__)

_PASSED: Final = ("temperature", "top_p", "seed", "presence_penalty", "frequency_penalty")
_DEFAULT_TOKENS: Final = 16
_LARGEST_INT: Final = 2**31 - 1

Prompt = Annotated[str, Field(min_length=1)]


class CompletionBody(shapes.Tolerant):
    """What is honoured, and what is looked at only to refuse it; every other field is ignored."""

    model: shapes.ModelId
    prompt: Prompt | Annotated[list[Prompt], Field(min_length=1, max_length=1)]
    max_tokens: Annotated[int, Field(ge=0, le=_LARGEST_INT)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=1)] | None = None
    best_of: Annotated[int, Field(ge=0, le=1)] | None = None
    echo: bool | None = None
    logprobs: int | None = None
    suffix: str | None = None

    @field_validator("seed")
    @classmethod
    def _fold_seed(cls, seed: int | None) -> int | None:
        return fold_seed(seed)

    def as_engine(self) -> dict[str, Any]:
        """The body for the engine.

        Raises:
            BadInputError: something that the box doesn't do.
        """
        if base_run.is_base(self.model):
            raise BadInputError("a base answers questions only", field="model")
        refused = {"echo": self.echo, "suffix": self.suffix, "logprobs": self.logprobs is not None}
        for name, asked in refused.items():
            if asked:
                raise BadInputError(name, field=name)
        body: dict[str, Any] = {
            "prompt": self.prompt if isinstance(self.prompt, str) else self.prompt[0],
            "max_tokens": _DEFAULT_TOKENS if self.max_tokens is None else max(self.max_tokens, 1),
            "stream_options": {"include_usage": True},
        }
        body |= {name: value for name in _PASSED if (value := getattr(self, name)) is not None}
        if self.stop:
            body["stop"] = [self.stop] if isinstance(self.stop, str) else self.stop[:16]
        return body


@routing.route(api, "POST", "/completions", permission=Permission.CHAT, body=CompletionBody)
def complete(call: Call, body: CompletionBody) -> Response:
    left = connection.watcher(request.environ)
    asked = body.as_engine()
    with ExitStack() as held:
        held.enter_context(routing.place(call))
        stream = opening.opened(call.gateway.complete, body.model, asked, left, streams=body.stream)
        held.callback(call.services.audit.record, call.who.name, "api-completion", body.model)
        held.enter_context(stream)
        completion = Completion(body)
        chunks = completion.chunks(engine.chunks(stream, body.model))
        if body.stream:
            told = framed(chunks, call.language, stream.comments())
            return headers.told(sse.response(told, held.pop_all().close), stream)
        text = "".join(choice["text"] for chunk in chunks for choice in chunk["choices"])
        return headers.told(routing.answer(completion.whole(text)), stream)


class Completion:
    """An engine's chunks as OpenAI's: one id and time, the counts in a chunk of their own and only where asked for."""

    def __init__(self, body: CompletionBody) -> None:
        self._frame = {
            "id": clock.new_id("cmpl"),
            "object": "text_completion",
            "created": int(time.time()),
            "model": body.model,
        }
        self._with_usage = body.stream_options is not None and bool(body.stream_options.include_usage)
        self._finish = "stop"
        self._usage: dict[str, int] = {}

    def chunks(self, given: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The engine's chunks in this frame."""
        for chunk in given:
            if told := chunk.get("usage"):
                names = ("prompt_tokens", "completion_tokens", "total_tokens")
                self._usage = {name: int(told.get(name) or 0) for name in names}
            for choice in chunk.get("choices", ()):
                finish = choice.get("finish_reason")
                self._finish = finish or self._finish
                yield {**self._frame, "choices": [_choice(choice.get("text") or "", finish)]}
        if self._with_usage:
            yield {**self._frame, "choices": [], "usage": self._usage}

    def whole(self, text: str) -> dict[str, Any]:
        """The end, with all of the text."""
        return {**self._frame, "choices": [_choice(text, self._finish)], "usage": self._usage}


def _choice(text: str, finish: str | None) -> dict[str, Any]:
    return {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
