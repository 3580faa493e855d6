"""LM Studio's `/api/v0`: OpenAI's answers, with figures, the model and the runtime beside them."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any

from flask import Blueprint, Response, request

from appliance.accounts.permissions import Permission
from appliance.errors import ModelNotFoundError
from webui import connection, routing, sse
from webui.dialects import (
    base_run,
    engine,
    headers,
    lmstudio_models,
    openai_base,
    openai_embeddings,
    opening,
    staying,
)
from webui.dialects.base_run import Turn
from webui.dialects.completions_request import CompletionBody
from webui.dialects.lmstudio_figures import Figures, about
from webui.dialects.openai_answer import Assembly, framed
from webui.dialects.openai_completions import Completion, Run
from webui.dialects.openai_embeddings import EmbeddingBody
from webui.dialects.openai_request import ChatBody, StreamOptions
from webui.routing import Call

api = Blueprint("v0", __name__)

Chunk = dict[str, Any]


@routing.route(api, "GET", "/models", permission=Permission.CHAT)
def list_models(call: Call) -> dict[str, Any]:
    return {"object": "list", "data": lmstudio_models.old_list(call)}


@routing.route(api, "GET", "/models/<path:model_id>", permission=Permission.CHAT)
def show(call: Call, model_id: str) -> dict[str, Any]:
    for model in lmstudio_models.old_list(call):
        if model["id"] == model_id:
            return model
    raise ModelNotFoundError(name=model_id[:100])


@routing.route(api, "POST", "/chat/completions", permission=Permission.CHAT, body=ChatBody)
def chat(call: Call, body: ChatBody) -> Response:
    left = connection.watcher(request.environ)
    with ExitStack() as held:
        held.enter_context(routing.place(call))
        if base_run.is_base(body.model):
            figures = Figures(call.gateway.model())
            turns = [Turn.of(message.as_engine()) for message in body.messages]
            writer = base_run.ask(call, body.model, turns, body.tool_choice)
            held.callback(writer.stop)
            return _answered(call, body, openai_base.chunks(writer, body.model, left), figures, held)
        figures = Figures(call.gateway.model(body.model))
        asked = body.as_engine() | {"stream_options": {"include_usage": True}}
        held.callback(staying.follow, call, body.model, body.ttl)
        stream = opening.opened(call.gateway.open, body.model, asked, left, streams=body.stream)
        held.callback(call.services.audit.record, call.who.name, "api-chat", body.model)
        held.enter_context(stream)
        chunks = iter(engine.chunks(stream, body.model))
        return headers.told(_answered(call, body, chunks, figures, held, stream.comments()), stream)


def _answered(
    call: Call,
    body: ChatBody,
    chunks: Iterator[Chunk | sse.Comment | None] | Iterator[Chunk],
    figures: Figures,
    held: ExitStack,
    before: Iterable[sse.Comment] = (),
) -> Response:
    """The answer, whole or as a stream that takes over what is `held`; `before`: what is told until it begins."""
    watched = figures.watched(chunks)
    if body.stream:
        told = _ending(watched, figures, body.stream_options)
        return sse.response(framed(told, call.language, before), held.pop_all().close)
    return routing.answer(_assembled(watched, body.model) | figures.beside())


@routing.route(api, "POST", "/completions", permission=Permission.CHAT, body=CompletionBody)
def complete(call: Call, body: CompletionBody) -> Response:
    with ExitStack() as held:
        held.enter_context(routing.place(call))
        figures = Figures(call.gateway.model(body.model))
        run = held.enter_context(Run(call, body))
        completion = Completion(body)
        chunks = completion.chunks(figures.watched(run.chunks()))
        if body.stream:
            told = framed(_ending(chunks, figures, body.stream_options), call.language, run.first.comments())
            return headers.told(sse.response(told, held.pop_all().close), run.first)
        return headers.told(routing.answer(completion.whole(chunks) | figures.beside()), run.first)


@routing.route(api, "POST", "/embeddings", permission=Permission.CHAT, body=EmbeddingBody)
def embed(call: Call, body: EmbeddingBody) -> dict[str, Any]:
    """No figures: nothing is written, token by token."""
    return openai_embeddings.embedded(call, body) | about(call.gateway.model(body.model))


def _ending(
    chunks: Iterator[Chunk | sse.Comment | None] | Iterator[Chunk], figures: Figures, wish: StreamOptions | None
) -> Iterator[Chunk | sse.Comment | None]:
    """The chunks as they come; those from the end of the text on wait until the figures are known for the last."""
    ending: list[Chunk] = []
    for chunk in chunks:
        if isinstance(chunk, dict) and (ending or _is_end(chunk)):
            ending.append(chunk)
        else:
            yield chunk
    if wish is None or not wish.include_usage:
        ending = [chunk for chunk in ending if chunk["choices"]]
    if ending:
        ending[-1] = ending[-1] | figures.beside()
    yield from ending


def _is_end(chunk: Chunk) -> bool:
    return any(choice.get("finish_reason") for choice in chunk.get("choices", ()))


def _assembled(chunks: Iterator[Chunk | sse.Comment | None], model: str) -> dict[str, Any]:
    assembly = Assembly(model)
    sources: dict[str, Any] = {}
    for chunk in chunks:
        if isinstance(chunk, dict):
            assembly.add(chunk)
            sources |= {name: chunk[name] for name in ("citations", "verdict") if name in chunk}
    return assembly.completion() | sources
