"""`/api/chat` and `/api/generate`: pieces of a model's or a base's answer, streamed unless the client says no."""

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any

from flask import Blueprint, Response, request

from appliance.accounts.permissions import Permission
from appliance.apps import runs
from appliance.errors import BadInputError, CancelledError, HakoError
from appliance.gateway.stream import RawStream
from webui import connection, routing
from webui.dialects import base_run, engine, headers, ollama_errors, ollama_names, staying, thinking
from webui.dialects.base_run import Answered, Left
from webui.dialects.ollama_answer import Ending, Piece, Reply, ndjson
from webui.dialects.ollama_request import Asked, ChatBody, GenerateBody
from webui.dialects.openai_answer import Assembly
from webui.locales import Language
from webui.routing import Call

api = Blueprint("chat", __name__)


@routing.route(api, "POST", "/chat", permission=Permission.CHAT, body=ChatBody)
def chat(call: Call, body: ChatBody) -> Response:
    return _answer(call, body)


@routing.route(api, "POST", "/generate", permission=Permission.CHAT, body=GenerateBody)
def generate(call: Call, body: GenerateBody) -> Response:
    return _answer(call, body)


def _answer(call: Call, asked: Asked) -> Response:
    reply = Reply(asked)
    left = connection.watcher(request.environ)
    with ExitStack() as held:
        held.enter_context(routing.place(call))
        if asked.is_load:
            return routing.answer(reply.last(_load(call, asked, left)))
        model = ollama_names.found(call, asked.model)
        if base_run.is_base(model):
            if asked.is_raw:
                raise BadInputError("a base answers questions only", field="raw")
            writer = base_run.ask(call, model, asked.turns())
            held.callback(writer.stop)
            return _sent(call, reply, _of_base(writer, left), held)
        if asked.think:
            thinking.demand(call.gateway.model(model))
        held.callback(staying.follow, call, model, asked.keep_alive)
        start = call.gateway.complete if asked.is_raw else call.gateway.open
        stream = start(model, asked.as_engine(), stopped=left)
        held.callback(call.services.audit.record, call.who.name, "api-chat", model)
        held.enter_context(stream)
        return headers.told(_sent(call, reply, _of_engine(stream, model), held), stream)


def _sent(call: Call, reply: Reply, pieces: Iterator[Piece | Ending], held: ExitStack) -> Response:
    """The answer, whole or as a stream that takes over what is `held`."""
    if reply.streams:
        return ndjson(_lines(reply, pieces, call.language), held.pop_all().close)
    return routing.answer(reply.whole(pieces))


def _load(call: Call, asked: Asked, left: Left) -> Ending:
    """Have the model ready, as for an answer, or let go of it where the client may say so."""
    model = ollama_names.found(call, asked.model)
    if base_run.is_base(model):
        base_run.find(call, model)
    elif asked.lets_go:
        staying.follow(call, call.gateway.model(model).id, asked.keep_alive)
    else:
        call.gateway.count_tokens([""], call.gateway.model(model).id, stopped=left)
        staying.follow(call, model, asked.keep_alive)
    return Ending("unload" if asked.lets_go else "load")


def _of_engine(stream: RawStream, model: str) -> Iterator[Piece | Ending]:
    assembly = Assembly(model)
    timings: dict[str, Any] = {}
    for chunk in map(_as_delta, engine.chunks(stream, model)):
        assembly.add(chunk)
        timings = chunk.get("timings") or timings
        for choice in chunk.get("choices", ()):
            delta = choice.get("delta") or {}
            piece = Piece(
                text=delta.get("content") or "",
                thinking=delta.get("reasoning_content") or "",
                logprobs=_logprobs(choice.get("logprobs") or {}),
            )
            if piece != Piece():
                yield piece
    whole = assembly.completion()
    choice, usage = whole["choices"][0], whole["usage"]
    if calls := choice["message"].get("tool_calls"):
        yield _calls(calls)
    yield Ending(
        reason="length" if choice["finish_reason"] == "length" else "stop",
        prompt_tokens=int(usage.get("prompt_tokens", 0)),
        tokens=int(usage.get("completion_tokens", 0)),
        prompt_ms=timings.get("prompt_ms"),
        written_ms=timings.get("predicted_ms"),
    )


def _as_delta(chunk: dict[str, Any]) -> dict[str, Any]:
    """A bare text's chunk as a chat's, which has its text one level below."""
    choices = [
        {**choice, "delta": {"content": choice["text"]}} if "text" in choice else choice
        for choice in chunk.get("choices", ())
    ]
    return {**chunk, "choices": choices}


def _calls(calls: Iterable[dict[str, Any]]) -> Piece:
    """Calls with their arguments as objects. What can't be read as one, e.g. after a length cut, stays text."""
    found: list[dict[str, Any]] = []
    rest = ""
    for call in calls:
        function = call["function"]
        try:
            arguments = json.loads(function["arguments"] or "{}")
        except ValueError:
            arguments = None
        if isinstance(arguments, dict):
            wanted = {"index": len(found), "name": function["name"], "arguments": arguments}
            found.append({"id": call["id"], "function": wanted})
        else:
            rest += function["arguments"]
    return Piece(text=rest, calls=found)


def _logprobs(given: dict[str, Any]) -> list[dict[str, Any]]:
    def token(entry: dict[str, Any]) -> dict[str, Any]:
        return {name: entry[name] for name in ("token", "logprob", "bytes") if name in entry}

    return [
        {**token(entry), "top_logprobs": [token(other) for other in entry.get("top_logprobs") or ()]}
        for entry in given.get("content") or ()
    ]


def _of_base(writer: runs.Writer, left: Left) -> Iterator[Piece | Ending]:
    for happened in base_run.follow(writer, left):
        if isinstance(happened, Answered):
            yield Ending(
                reason="length" if happened.cut else "stop",
                prompt_tokens=happened.prompt_tokens,
                tokens=happened.tokens,
                more={"citations": happened.citations, "verdict": happened.verdict},
            )
        elif isinstance(happened, str):  # lines of JSON know no comments
            yield Piece(happened)


def _lines(reply: Reply, pieces: Iterable[Piece | Ending], language: Language) -> Iterator[dict[str, Any]]:
    """An error in the middle becomes a line of its own."""
    try:
        yield from reply.lines(pieces)
    except CancelledError:
        return
    except HakoError as error:
        yield ollama_errors.body(error, language)
