"""`/models/<id>/adapters`: LoRA files brought to a model that is here, listed and taken away again."""

from typing import Any

from flask import Blueprint

from appliance.accounts.permissions import Permission
from appliance.inference.adapters import AdapterPlan
from webui import routing
from webui.api.model_place import BroughtFile
from webui.routing import Call

api = Blueprint("model_adapters", __name__)


@routing.route(api, "GET", "/models/<model_id>/adapters", permission=Permission.MODELS_MANAGE)
def show(call: Call, model_id: str) -> dict[str, Any]:
    """The names that `adapter` can have in the model's settings."""
    manifest = call.services.models.manifest(model_id)
    return {"items": [{"name": name, "size_bytes": manifest.files[name].size} for name in manifest.adapters]}


@routing.route(api, "POST", "/models/<model_id>/adapters", permission=Permission.MODELS_MANAGE, body=BroughtFile)
def add(call: Call, body: BroughtFile, model_id: str) -> Any:
    """Checked and brought; it counts once the model's settings name it. A dry run only says what it is."""
    models = call.services.models
    with routing.box().places.take(call.who.name):
        source, shared = body.opened(call)
        if body.dry_run:
            return _describe(model_id, models.plan_adapter(model_id, source))
        plan = models.add_adapter(model_id, source, shared)
    body.forget(call)
    call.services.audit.record(call.who.name, "model-adapter-added", model_id, name=plan.name)
    return _describe(model_id, plan), 201


@routing.route(api, "DELETE", "/models/<model_id>/adapters/<name>", permission=Permission.MODELS_MANAGE)
def remove(call: Call, model_id: str, name: str) -> None:
    """Erased; a model that is set to use it goes on without."""
    call.services.models.remove_adapter(model_id, name)
    call.services.audit.record(call.who.name, "model-adapter-removed", model_id, name=name)


def _describe(model_id: str, plan: AdapterPlan) -> dict[str, Any]:
    return {"model": model_id, "name": plan.name, "size_bytes": plan.size}
