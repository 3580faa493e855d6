"""`/models`: the AI models of the box, their state, and loading and unloading them."""

from typing import Any

from flask import Blueprint

from appliance.accounts.permissions import Permission
from appliance.gateway.gateway import ModelInfo
from webui import routing
from webui.routing import Call

api = Blueprint("models", __name__)


@routing.route(api, "GET", "/models", permission=Permission.CHAT)
def list_models(call: Call) -> dict[str, Any]:
    settings = routing.box().settings.inference
    defaults = {settings.chat_model, settings.embedding_model}
    return {"items": [describe(model, is_default=model.id in defaults) for model in call.services.gateway.models()]}


@routing.route(api, "POST", "/models/<path:model_id>/load", permission=Permission.MODELS_MANAGE)
def load(call: Call, model_id: str) -> None:
    call.services.gateway.load(model_id)
    call.services.audit.record(call.who.name, "model-loaded", model_id)


@routing.route(api, "POST", "/models/<path:model_id>/unload", permission=Permission.MODELS_MANAGE)
def unload(call: Call, model_id: str) -> None:
    call.services.gateway.unload(model_id)
    call.services.audit.record(call.who.name, "model-unloaded", model_id)


def describe(model: ModelInfo, *, is_default: bool) -> dict[str, Any]:
    """A model with what is known of it; what was not measured is null."""
    return {
        "id": model.id,
        "name": model.name,
        "kind": model.kind,
        "engine": model.engine,
        "state": model.state,
        "languages": list(model.languages),
        "context": model.context,
        "size_bytes": model.size_bytes,
        "memory_bytes": model.memory_bytes,
        "licence": model.licence,
        "source": model.source,
        "sha256": model.sha256,
        "quantization": model.quantization,
        "size_class": model.size_class,
        "default": is_default,
        "provider": model.provider,
    }
