"""API surfaces that existing clients already speak."""

from flask import Blueprint

from webui.dialects import openai_chat, openai_embeddings, openai_models


def blueprints() -> list[Blueprint]:
    """Everything under `/v1`."""
    root = Blueprint("v1", __name__, url_prefix="/v1")
    for part in (openai_models, openai_chat, openai_embeddings):
        root.register_blueprint(part.api)
    return [root]
