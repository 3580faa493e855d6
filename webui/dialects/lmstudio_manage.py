"""LM Studio's `/api/v1/models/load` and what belongs to it: programs learn that a model is there; operators load it."""

from typing import Annotated, Any

from flask import Blueprint
from pydantic import Field

from appliance import clock
from appliance.accounts.permissions import Permission
from appliance.errors import BadInputError, ModelNotFoundError, ModelsByUsbError, NotFoundError
from appliance.gateway.gateway import ModelInfo
from webui import routing, shapes
from webui.dialects import base_run, lmstudio_models
from webui.routing import Call

api = Blueprint("manage", __name__)


class LoadBody(shapes.Tolerant):
    """How a model is computed on is the box's to decide; only a context that it doesn't have is refused."""

    model: shapes.ModelId
    context_length: Annotated[int, Field(ge=1)] | None = None
    echo_load_config: bool | None = None


class UnloadBody(shapes.Tolerant):
    """Which model; an instance is called as its model is."""

    instance_id: shapes.ModelId


class DownloadBody(shapes.Tolerant):
    """Which model."""

    model: shapes.ModelId


@routing.route(api, "POST", "/models/load", permission=Permission.CHAT, body=LoadBody)
def load(call: Call, body: LoadBody) -> dict[str, Any]:
    """Who may not load a model may still ask for one that is loaded as wished: many programs do so first."""
    began = clock.monotonic()
    if base_run.is_base(body.model):
        base_run.find(call, body.model)
        return {"type": "llm", "instance_id": body.model, "load_time_seconds": 0.0, "status": "loaded"}
    model = _now(call, body.model)
    fits = body.context_length in (None, model.context)
    if model.state != "loaded" or not fits:
        call.who.demand(Permission.MODELS_MANAGE)
        if not fits:
            raise BadInputError("context is set for the box", field="context_length")
        call.services.gateway.load(model.id)
        call.services.audit.record(call.who.name, "model-loaded", model.id)
    loaded = {
        "type": lmstudio_models.KINDS.get(model.kind, model.kind),
        "instance_id": model.id,
        "load_time_seconds": round(clock.monotonic() - began, 3),
        "status": "loaded",
    }
    return loaded | ({"load_config": lmstudio_models.instance(model)["config"]} if body.echo_load_config else {})


@routing.route(api, "POST", "/models/unload", permission=Permission.CHAT, body=UnloadBody)
def unload(call: Call, body: UnloadBody) -> dict[str, Any]:
    """One that is not in memory needs no unloading."""
    model = _now(call, body.instance_id)
    if model.state in ("loaded", "loading"):
        call.who.demand(Permission.MODELS_MANAGE)
        call.services.gateway.unload(model.id)
        call.services.audit.record(call.who.name, "model-unloaded", model.id)
    return {"instance_id": body.instance_id}


@routing.route(api, "POST", "/models/download", permission=Permission.CHAT, body=DownloadBody)
def download(call: Call, body: DownloadBody) -> dict[str, Any]:
    """A model that is here needs no fetching, any other one comes by USB."""
    if base_run.is_base(body.model):
        base_run.find(call, body.model)
    elif body.model not in {name for model in call.gateway.models() for name in lmstudio_models.names(model)}:
        raise ModelsByUsbError
    return {"status": "already_downloaded"}


@routing.route(api, "GET", "/models/download/status/<job_id>", permission=Permission.CHAT)
def download_status(call: Call, job_id: str) -> None:  # noqa: ARG001 - every view that knows its person is given it
    """Raises NotFoundError: nothing is ever fetched."""
    raise NotFoundError


def _now(call: Call, name: str) -> ModelInfo:
    """The model of that name and its state.

    Raises:
        ModelNotFoundError: no such model.
    """
    wanted = call.gateway.model(name)
    for model in call.gateway.models():
        if model.id == wanted.id:
            return model
    raise ModelNotFoundError(name=name[:100])
