"""LM Studio's lists of models, the older one of `/api/v0` and that of `/api/v1`; each readable base is one, too."""

from typing import Any, Final

from flask import Blueprint

from appliance.accounts.permissions import Permission
from appliance.gateway.gateway import ModelInfo
from appliance.knowledge.bases import Base
from webui import routing
from webui.dialects.base_run import BASE_PREFIX
from webui.dialects.lmstudio_figures import FORMATS
from webui.routing import Call

api = Blueprint("models", __name__)

KINDS: Final = {"chat": "llm", "embedding": "embedding"}
"""What LM Studio calls a kind of model; it knows no rerankers, so its lists have none."""
_PUBLISHER: Final = "hako"
_DOCUMENTS: Final = "documents"
_BITS: Final = 8


@routing.route(api, "GET", "/models", permission=Permission.CHAT)
def list_models(call: Call) -> dict[str, Any]:
    models = [_of_model(model, name) for model in call.gateway.models() if model.kind in KINDS for name in names(model)]
    return {"models": models + [_of_base(call, base) for base in call.services.bases.readable(call.who)]}


def names(model: ModelInfo) -> tuple[str, ...]:
    """All that programs may call it."""
    return (model.id, *model.aliases)


def old_list(call: Call) -> list[dict[str, Any]]:
    """The entries of `/api/v0/models`."""
    models = [
        _old_entry(model, name) for model in call.gateway.models() if model.kind in KINDS for name in names(model)
    ]
    context = call.gateway.model().context
    bases = [
        {
            "id": BASE_PREFIX + base.name,
            "object": "model",
            "type": "llm",
            "publisher": _PUBLISHER,
            "arch": _DOCUMENTS,
            "compatibility_type": _DOCUMENTS,
            "quantization": "",
            "state": "loaded",
            "max_context_length": context,
            "loaded_context_length": context,
        }
        for base in call.services.bases.readable(call.who)
    ]
    return models + bases


def _old_entry(model: ModelInfo, name: str) -> dict[str, Any]:
    is_loaded = model.state == "loaded"
    entry: dict[str, Any] = {
        "id": name,
        "object": "model",
        "type": "embeddings" if model.kind == "embedding" else "vlm" if model.vision else "llm",
        "publisher": _PUBLISHER,
        "arch": model.architecture,
        "compatibility_type": FORMATS.get(model.engine, model.engine),
        "quantization": model.quantization,
        "state": "loaded" if is_loaded else "not-loaded",
        "max_context_length": model.context,
    }
    if is_loaded:
        entry["loaded_context_length"] = model.context
    if model.tools:
        entry["capabilities"] = ["tool_use"]
    return entry


def _of_model(model: ModelInfo, name: str) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "type": KINDS[model.kind],
        "publisher": _PUBLISHER,
        "key": name,
        "display_name": model.name,
        "architecture": model.architecture,
        "quantization": _quantization(model),
        "size_bytes": model.size_bytes,
        "params_string": _size(model.parameters),
        "loaded_instances": [instance(model)] if model.state == "loaded" else [],
        "max_context_length": model.context,
        "format": FORMATS.get(model.engine, model.engine),
        "description": None,
    }
    if model.kind == "chat":
        entry["capabilities"] = {"vision": model.vision, "trained_for_tool_use": model.tools}
        if model.thinking:
            entry["capabilities"]["reasoning"] = {"allowed_options": ["off", "on"], "default": "on"}
    return entry


def instance(model: ModelInfo) -> dict[str, Any]:
    """A model in memory; there is one of each at most, called as the model is."""
    return {"id": model.id, "config": {"context_length": model.context}}


def _of_base(call: Call, base: Base) -> dict[str, Any]:
    name, context = BASE_PREFIX + base.name, call.gateway.model().context
    return {
        "type": "llm",
        "publisher": _PUBLISHER,
        "key": name,
        "display_name": base.name,
        "architecture": _DOCUMENTS,
        "quantization": None,
        "size_bytes": 0,
        "params_string": None,
        "loaded_instances": [{"id": name, "config": {"context_length": context}}],
        "max_context_length": context,
        "format": None,
        "description": None,
        "capabilities": {"vision": False, "trained_for_tool_use": False},
    }


def _quantization(model: ModelInfo) -> dict[str, Any] | None:
    if not model.quantization:
        return None
    bits = round(model.size_bytes * _BITS / model.parameters, 1) if model.parameters else None
    return {"name": model.quantization, "bits_per_weight": bits}


def _size(parameters: int) -> str | None:
    """As LM Studio writes it: 135M, 7.6B."""
    for unit, letter in ((1e9, "B"), (1e6, "M")):
        if parameters >= unit:
            return f"{parameters / unit:.3g}{letter}"
    return None
