"""`/v1/models`: the models, and each readable base as a model `kb:<name>`; in Anthropic's shape for its clients."""

import time
from typing import Any, Final

from flask import Blueprint, request

from appliance.accounts.permissions import Permission
from appliance.errors import ModelNotFoundError
from webui import routing
from webui.dialects import anthropic_models
from webui.dialects.anthropic_errors import VERSION_HEADER
from webui.dialects.base_run import BASE_PREFIX
from webui.routing import Call

api = Blueprint("models", __name__)

_STARTED: Final = int(time.time())
"""OpenAI's clients want a number here; when a model was made says nothing on this box."""


@routing.route(api, "GET", "/models", permission=Permission.CHAT)
def list_models(call: Call) -> dict[str, Any]:
    if VERSION_HEADER in request.headers:
        return anthropic_models.listed(call)
    return {"object": "list", "data": _all(call)}


@routing.route(api, "GET", "/models/<path:model_id>", permission=Permission.CHAT)
def show(call: Call, model_id: str) -> dict[str, Any]:
    if VERSION_HEADER in request.headers:
        return anthropic_models.shown(call, model_id)
    for model in _all(call):
        if model["id"] == model_id:
            return model
    raise ModelNotFoundError(name=model_id[:100])


def _all(call: Call) -> list[dict[str, Any]]:
    models = [
        _entry(name, "hako", kind=model.kind, context_length=model.context)
        for model in call.gateway.models()
        for name in (model.id, *model.aliases)
    ]
    bases = call.services.bases.readable(call.who)
    return models + [_entry(BASE_PREFIX + base.name, "documents", kind="chat") for base in bases]


def _entry(model_id: str, owner: str, **more: Any) -> dict[str, Any]:
    return {"id": model_id, "object": "model", "created": _STARTED, "owned_by": owner, **more}
