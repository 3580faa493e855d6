"""`/models/<id>/adapters`: LoRA files of this machine brought to a model, by its operator on the admin socket only."""

from typing import Annotated, Any

from flask import Blueprint
from pydantic import StringConstraints

from appliance.accounts.permissions import Permission
from appliance.errors import ForbiddenError
from webui import routing, shapes
from webui.routing import Call

api = Blueprint("model_adapters", __name__)


class Adapter(shapes.Shape):
    """Where the file is."""

    path: Annotated[str, StringConstraints(min_length=1, max_length=4096)]


@routing.route(api, "GET", "/models/<model_id>/adapters", permission=Permission.MODELS_MANAGE)
def show(call: Call, model_id: str) -> dict[str, Any]:
    """The names that `adapter` can have in the model's settings."""
    manifest = call.services.models.manifest(model_id)
    return {"items": [{"name": name, "size_bytes": manifest.files[name].size} for name in manifest.adapters]}


@routing.route(
    api, "POST", "/models/<model_id>/adapters", permission=Permission.MODELS_MANAGE, body=Adapter, status=201
)
def add(call: Call, body: Adapter, model_id: str) -> dict[str, Any]:
    """Copied and checked; it counts once the model's settings name it."""
    if call.who.via != "socket":
        raise ForbiddenError("a path of this machine is for who works on it")
    with routing.box().places.take(call.who.name):
        name = call.services.models.add_adapter(model_id, body.path)
    call.services.audit.record(call.who.name, "model-adapter-added", model_id, name=name)
    return {"model": model_id, "name": name}


@routing.route(api, "DELETE", "/models/<model_id>/adapters/<name>", permission=Permission.MODELS_MANAGE)
def remove(call: Call, model_id: str, name: str) -> None:
    """Erased; a model that is set to use it goes on without."""
    call.services.models.remove_adapter(model_id, name)
    call.services.audit.record(call.who.name, "model-adapter-removed", model_id, name=name)
