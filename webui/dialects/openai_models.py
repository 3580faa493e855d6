"""`/v1/models`: the models, and each readable base as a model `kb:<name>`."""

import time
from typing import Any, Final

from flask import Blueprint

from appliance.accounts.permissions import Permission
from appliance.errors import ModelNotFoundError
from webui import routing
from webui.routing import Call

api = Blueprint("models", __name__)

BASE_PREFIX: Final = "kb:"
_STARTED: Final = int(time.time())
"""OpenAI's clients want a number here; when a model was made says nothing on this box."""


@routing.route(api, "GET", "/models", permission=Permission.CHAT)
def list_models(call: Call) -> dict[str, Any]:
    return {"object": "list", "data": _all(call)}


@routing.route(api, "GET", "/models/<path:model_id>", permission=Permission.CHAT)
def show(call: Call, model_id: str) -> dict[str, Any]:
    for model in _all(call):
        if model["id"] == model_id:
            return model
    raise ModelNotFoundError(name=model_id[:100])


def _all(call: Call) -> list[dict[str, Any]]:
    models = [
        _entry(model.id, "hako", kind=model.kind, context_length=model.context)
        for model in call.services.gateway.models()
    ]
    bases = call.services.bases.readable(call.who)
    return models + [_entry(BASE_PREFIX + base.name, "documents", kind="chat") for base in bases]


def _entry(model_id: str, owner: str, **more: Any) -> dict[str, Any]:
    return {"id": model_id, "object": "model", "created": _STARTED, "owned_by": owner, **more}
