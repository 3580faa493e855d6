"""API surfaces that existing clients already speak."""

from collections.abc import Mapping

from flask import Blueprint

from appliance.accounts.scopes import Dialect
from appliance.config import Listener
from webui import errors
from webui.dialects import (
    anthropic_errors,
    anthropic_messages,
    lmstudio_chat,
    lmstudio_errors,
    lmstudio_manage,
    lmstudio_models,
    lmstudio_v0,
    not_offered,
    ollama_chat,
    ollama_embed,
    ollama_errors,
    ollama_greeting,
    ollama_manage,
    ollama_models,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_models,
    rerank,
    responses,
    responses_state,
)


def blueprints(listener: Listener = "main") -> list[Blueprint]:
    """`/v1` and reranking on every listener, Ollama's and LM Studio's where their clients look.

    LM Studio's `/api/v1` is on its own listener only: at the box's own port that is the address of the box's own API.
    """
    everywhere = [_v1(), rerank.api, rerank.cohere]
    if listener == "ollama":
        return [*everywhere, _ollama(), ollama_greeting.api]
    if listener == "lmstudio":
        return [*everywhere, _lmstudio_v0(), _lmstudio_v1()]
    return [*everywhere, _ollama(), _lmstudio_v0()]


def _v1() -> Blueprint:
    root = Blueprint("v1", __name__, url_prefix="/v1")
    for part in (
        openai_models,
        openai_chat,
        openai_completions,
        openai_embeddings,
        anthropic_messages,
        rerank,
        responses,
        responses_state,
        not_offered,
    ):
        root.register_blueprint(part.api)
    return root


def _ollama() -> Blueprint:
    root = Blueprint("ollama", __name__, url_prefix="/api")
    for part in (ollama_models, ollama_manage, ollama_chat, ollama_embed):
        root.register_blueprint(part.api)
    return root


def _lmstudio_v0() -> Blueprint:
    root = Blueprint("lmstudio-v0", __name__, url_prefix="/api/v0")
    root.register_blueprint(lmstudio_v0.api)
    return root


def _lmstudio_v1() -> Blueprint:
    root = Blueprint("lmstudio-v1", __name__, url_prefix="/api/v1")
    for part in (lmstudio_models, lmstudio_manage, lmstudio_chat):
        root.register_blueprint(part.api)
    return root


def error_shapes(listener: Listener = "main") -> Mapping[str, errors.Shape]:
    """How errors look below which path; on a dialect's listener, which has no pages, all of them in its shape."""
    everywhere: dict[str, errors.Shape] = {
        "/v1": anthropic_errors.by_header,
        "/v1/messages": anthropic_errors.answer,
        **{prefix + path: rerank.error_shape for prefix in ("", "/v1") for path in rerank.PATHS},
        rerank.COHERE_PREFIX: rerank.cohere_error,
    }
    if listener == "ollama":
        return {**everywhere, "": ollama_errors.response}
    if listener == "lmstudio":
        return {**everywhere, "": errors.openai, "/api/v1": lmstudio_errors.answer}
    return {**everywhere, "/api": ollama_errors.response, "/api/v0": errors.openai}


def spoken_below(listener: Listener = "main") -> Mapping[str, frozenset[Dialect]]:
    """Which dialects the paths below which path belong to, for keys that are good for some of them only."""
    return {
        "/v1": frozenset({"openai"}),
        "/v1/models": frozenset({"openai", "anthropic"}),
        "/v1/messages": frozenset({"anthropic"}),
        "/api": frozenset({"ollama"}),
        "/api/v0": frozenset({"lmstudio"}),
        "/api/v1": frozenset({"lmstudio" if listener == "lmstudio" else "hako"}),
        "/print": frozenset({"hako"}),
        "/metrics": frozenset({"hako"}),
        **{prefix + path: frozenset({"rerank"}) for prefix in ("", "/v1", "/v2") for path in rerank.PATHS},
    }
