"""`/v1/completions`, OpenAI's older way: a bare text goes on, without roles and without a template."""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from itertools import accumulate
from typing import Any

from flask import Blueprint, Response, request

from appliance import clock
from appliance.accounts.permissions import Permission
from appliance.closing import Closing
from webui import connection, routing, sse
from webui.dialects import engine, headers, opening
from webui.dialects.completions_request import CompletionBody
from webui.dialects.openai_answer import framed
from webui.dialects.opening import Opening
from webui.routing import Call
from webui.sse import Comment

api = Blueprint("completions", __name__)

Chunk = dict[str, Any]
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


@routing.route(api, "POST", "/completions", permission=Permission.CHAT, body=CompletionBody)
def complete(call: Call, body: CompletionBody) -> Response:
    with ExitStack() as held:
        held.enter_context(routing.place(call))
        run = held.enter_context(Run(call, body))
        completion = Completion(body)
        chunks = completion.chunks(run.chunks())
        if body.stream:
            told = framed(chunks, call.language, run.first.comments())
            return headers.told(sse.response(told, held.pop_all().close), run.first)
        return headers.told(routing.answer(completion.whole(chunks)), run.first)


class Run(Closing):
    """The choices of one request, written one after the other; the first has begun, or stands in line."""

    def __init__(self, call: Call, body: CompletionBody) -> None:
        """Raises HakoError: why there is no answer."""
        body.demand_model()
        body.check(call.gateway.model(body.model).engine)
        self._call, self._body = call, body
        self._left = connection.watcher(request.environ)
        self._asked = body.as_engine()
        self.first = self._now = self._opened(self._asked[0])

    def chunks(self) -> Iterator[Chunk | Comment]:
        """The engine's chunks, each with its choice's number, and at last the counts of all choices.

        Raises:
            HakoError: why there is no more.
        """
        total = dict.fromkeys(_COUNTS, 0)
        for index, asked in enumerate(self._asked):
            if index:
                self._now.close()
                self._now = self._opened(asked)
                yield from self._now.comments()
            usage: Mapping[str, Any] = {}
            for chunk in engine.chunks(self._now, self._body.model):
                usage = chunk.pop("usage", None) or usage
                yield {**chunk, "choices": [{**choice, "index": index} for choice in chunk.get("choices", ())]}
            total = {name: count + int(usage.get(name) or 0) for name, count in total.items()}
        yield {"choices": [], "usage": total}

    def close(self) -> None:
        self._now.close()
        self._call.services.audit.record(self._call.who.name, "api-completion", self._body.model)

    def _opened(self, asked: Mapping[str, Any]) -> Opening:
        complete, model = self._call.gateway.complete, self._body.model
        return opening.opened(complete, model, asked, self._left, streams=self._body.stream)


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
        self._choices = [_Choice(index, before, body.logprobs) for index, before in enumerate(body.echoed)]
        self._usage: dict[str, int] = {}

    def chunks(self, given: Iterable[Chunk | Comment | None]) -> Iterator[Chunk | Comment | None]:
        """The engine's chunks in this frame."""
        for chunk in given:
            if not isinstance(chunk, dict):
                yield chunk
                continue
            self._usage = chunk.get("usage") or self._usage
            for choice in chunk["choices"]:
                yield {**self._frame, "choices": [self._choices[choice["index"]].add(choice)]}
        if self._with_usage:
            yield {**self._frame, "choices": [], "usage": self._usage}

    def whole(self, chunks: Iterable[Chunk | Comment | None]) -> Chunk:
        """The end, with all of the texts; `chunks` are this one's own."""
        for _ in chunks:
            pass
        return {**self._frame, "choices": [choice.whole() for choice in self._choices], "usage": self._usage}


class _Choice:
    """One text that is written, and how likely each of its tokens was where that is wished."""

    def __init__(self, index: int, before: str, tops: int | None) -> None:
        """`before`: what the text begins with; `tops`: how many other tokens are told beside each."""
        self._index, self._before, self._tops = index, before, tops
        self._text: list[str] = []
        self._finish = "stop"
        self._likely: dict[str, Any] = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
        self._end = len(before)

    def add(self, choice: Mapping[str, Any]) -> Chunk:
        """What the next chunk of the engine says of it, as OpenAI says it."""
        text = self._before + (choice.get("text") or "")
        self._before = ""
        self._text.append(text)
        finish = choice.get("finish_reason")
        self._finish = finish or self._finish
        likely = self._legacy(choice.get("logprobs") or {}) if self._tops is not None else None
        for name, values in (likely or {}).items():
            self._likely[name] += values or []
        self._end += len(choice.get("text") or "")  # several tokens may be one character, so their own lengths don't do
        return self._told(text, finish, likely)

    def whole(self) -> Chunk:
        """All of it."""
        likely = None
        if self._tops is not None:
            likely = {**self._likely, "top_logprobs": self._likely["top_logprobs"] or None}
        return self._told("".join(self._text), self._finish, likely)

    def _told(self, text: str, finish: str | None, likely: dict[str, Any] | None) -> Chunk:
        return {"index": self._index, "text": text, "logprobs": likely, "finish_reason": finish}

    def _legacy(self, given: Mapping[str, Any]) -> dict[str, Any] | None:
        """A chat's form of it as the older one; some servers elsewhere tell the older one themselves."""
        entries = given.get("content")
        if not entries:
            return {name: given.get(name) for name in self._likely} if given.get("tokens") else None
        tops = [
            {top["token"]: top["logprob"] for top in (entry.get("top_logprobs") or ())[: self._tops]}
            for entry in entries
        ]
        return {
            "tokens": [entry["token"] for entry in entries],
            "token_logprobs": [entry["logprob"] for entry in entries],
            "top_logprobs": tops if self._tops else None,
            "text_offset": list(accumulate((len(entry["token"]) for entry in entries[:-1]), initial=self._end)),
        }
