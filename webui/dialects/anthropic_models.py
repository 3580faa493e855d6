"""The list of models in Anthropic's shape: those that can chat, and each readable base."""

from datetime import UTC, datetime
from typing import Any

from appliance.errors import ModelNotFoundError
from webui.dialects.base_run import BASE_PREFIX
from webui.routing import Call

_EPOCH = datetime.fromtimestamp(0, UTC).isoformat().replace("+00:00", "Z")
"""What Anthropic itself gives where it doesn't know; when a model was made says nothing on this box."""


def listed(call: Call) -> dict[str, Any]:
    """All on one page."""
    models = _all(call)
    return {
        "data": models,
        "has_more": False,
        "first_id": models[0]["id"] if models else None,
        "last_id": models[-1]["id"] if models else None,
    }


def shown(call: Call, model_id: str) -> dict[str, Any]:
    """One of them.

    Raises:
        ModelNotFoundError: none that this person may use, or one that can't chat.
    """
    for model in _all(call):
        if model["id"] == model_id:
            return model
    raise ModelNotFoundError(name=model_id[:100])


def _all(call: Call) -> list[dict[str, Any]]:
    models = [
        _entry(name, model.name, max_input_tokens=model.context, max_tokens=model.context)
        for model in call.gateway.models()
        if model.kind == "chat"
        for name in (model.id, *model.aliases)
    ]
    return models + [_entry(BASE_PREFIX + base.name, base.name) for base in call.services.bases.readable(call.who)]


def _entry(model_id: str, name: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "model", "id": model_id, "display_name": name, "created_at": _EPOCH, "lifecycle": "active", **more,
    }  # fmt: skip
