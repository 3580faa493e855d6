"""API surfaces that existing clients already speak."""

from collections.abc import Mapping

from flask import Blueprint

from webui import errors
from webui.dialects import (
    anthropic_errors,
    anthropic_messages,
    ollama_chat,
    ollama_embed,
    ollama_errors,
    ollama_models,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_models,
)


def blueprints() -> list[Blueprint]:
    """Everything under `/v1`, and Ollama's under `/api`."""
    root = Blueprint("v1", __name__, url_prefix="/v1")
    for part in (openai_models, openai_chat, openai_completions, openai_embeddings, anthropic_messages):
        root.register_blueprint(part.api)
    ollama = Blueprint("ollama", __name__, url_prefix="/api")
    for part in (ollama_models, ollama_chat, ollama_embed):
        ollama.register_blueprint(part.api)
    return [root, ollama]


def error_shapes() -> Mapping[str, errors.Shape]:
    """How errors look below which path."""
    return {
        "/v1": anthropic_errors.by_header,
        "/v1/messages": anthropic_errors.answer,
        "/api": ollama_errors.response,
    }
