"""`/models`: the AI models of the box, their state and memory, loading, aliases, checks, removal."""

from typing import Annotated, Any

from flask import Blueprint
from pydantic import StringConstraints

from appliance.accounts.permissions import Permission
from appliance.errors import ModelNotFoundError
from appliance.gateway.gateway import ModelInfo
from appliance.inference.estimate import Estimate
from webui import reauth, routing, shapes
from webui.api.runs import described
from webui.routing import Call

api = Blueprint("models", __name__)


class Alias(shapes.Shape):
    """The model that the alias in the path stands for."""

    model: shapes.ModelId


class Renewal(shapes.Shape):
    """New answers are accepted by who gives their own password again; not asked for on the admin socket."""

    password: Annotated[str, StringConstraints(max_length=1024)] = ""


@routing.route(api, "GET", "/models", permission=Permission.CHAT)
def list_models(call: Call) -> dict[str, Any]:
    """What each one would take at its own settings, and what the machine has, is for those who manage models."""
    manages = Permission.MODELS_MANAGE in call.who.permissions
    estimates = call.services.models.estimates() if manages else {}
    models, defaults = call.gateway.models(), call.services.models.defaults()
    answer: dict[str, Any] = {
        "items": [
            describe(call, model, is_default=model.id in defaults)
            | {"estimate": describe_estimate(estimates[model.id]) if model.id in estimates else None}
            for model in models
        ]
    }
    if manages:
        total, free = call.services.models.memory()
        answer["memory"] = {"total_bytes": total, "free_bytes": free}
    return answer


@routing.route(api, "GET", "/models/reranking", permission=Permission.MODELS_MANAGE)
def reranking(call: Call) -> dict[str, Any]:
    """Which reranker the searches of the box use: the name that was chosen or set, and the model that this is."""
    setting = call.services.gateway.defaults.reranker
    wanted = call.services.gateway.aliases.resolve(setting)
    model = next((model.id for model in call.gateway.models() if (model.id, model.kind) == (wanted, "reranker")), None)
    return {"setting": setting, "model": model}


@routing.route(api, "GET", "/models/<path:model_id>", permission=Permission.MODELS_MANAGE)
def show(call: Call, model_id: str) -> dict[str, Any]:
    """One model with its files and what it takes of this box's memory."""
    for model in call.gateway.models():
        if model.id == model_id:
            return detail(call, model)
    raise ModelNotFoundError(name=model_id[:100])


@routing.route(api, "POST", "/models/<path:model_id>/load", permission=Permission.MODELS_MANAGE)
def load(call: Call, model_id: str) -> None:
    call.services.gateway.load(model_id)
    call.services.audit.record(call.who.name, "model-loaded", model_id)


@routing.route(api, "POST", "/models/<path:model_id>/unload", permission=Permission.MODELS_MANAGE)
def unload(call: Call, model_id: str) -> None:
    call.services.gateway.unload(model_id)
    call.services.audit.record(call.who.name, "model-unloaded", model_id)


@routing.route(api, "POST", "/models/<model_id>/verify", permission=Permission.MODELS_MANAGE)
def verify(call: Call, model_id: str) -> dict[str, Any]:
    """Reads every file to its end; that takes a while for a large model."""
    manifest = call.services.models.verify(model_id)
    call.services.audit.record(call.who.name, "model-verified", model_id)
    return {"files": len(manifest.files), "size_bytes": manifest.size}


@routing.route(api, "POST", "/models/<model_id>/renew", permission=Permission.MODELS_MANAGE, body=Renewal)
def renew(call: Call, wish: Renewal, model_id: str) -> dict[str, Any]:
    """Checks the files as `verify` does, and records anew, at the next load, what the model answers."""
    reauth.demand(call, wish.password)
    had_record = call.services.models.renew(model_id)
    call.services.audit.record(call.who.name, "model-golden-renewed", model_id)
    return {"had_record": had_record}


@routing.route(api, "PUT", "/models/<model_id>/default", permission=Permission.MODELS_MANAGE)
def make_default(call: Call, model_id: str) -> None:
    """The chat model where none is named, or the reranker of searches, at once and before what the settings say."""
    call.services.models.make_default(model_id)
    call.services.audit.record(call.who.name, "model-default-set", model_id)


@routing.route(api, "DELETE", "/models/<model_id>/default", permission=Permission.MODELS_MANAGE)
def drop_default(call: Call, model_id: str) -> None:
    """Searches use no reranker from now on."""
    call.services.models.drop_default(model_id)
    call.services.audit.record(call.who.name, "model-default-dropped", model_id)


@routing.route(api, "DELETE", "/models/<model_id>", permission=Permission.MODELS_MANAGE)
def remove(call: Call, model_id: str) -> None:
    call.services.models.remove(model_id)
    call.services.audit.record(call.who.name, "model-removed", model_id)


@routing.route(api, "PUT", "/models/aliases/<path:name>", permission=Permission.MODELS_MANAGE, body=Alias)
def set_alias(call: Call, wish: Alias, name: str) -> None:
    call.services.gateway.aliases.put(name, wish.model)
    call.services.audit.record(call.who.name, "model-alias-set", name, model=wish.model)


@routing.route(api, "DELETE", "/models/aliases/<path:name>", permission=Permission.MODELS_MANAGE)
def delete_alias(call: Call, name: str) -> None:
    call.services.gateway.aliases.delete(name)
    call.services.audit.record(call.who.name, "model-alias-deleted", name)


def detail(call: Call, model: ModelInfo) -> dict[str, Any]:
    """What the list says, and the files and the memory estimate."""
    if model.engine == "remote":  # its files are another machine's
        return {
            **describe(call, model, is_default=model.id in call.services.models.defaults()),
            "files": [],
            "projector": None,
            "estimate": None,
        }
    manifest = call.services.models.manifest(model.id)
    estimate = call.services.models.estimate(manifest, held=model.memory_bytes or 0)
    files = [{"name": name, "size": file.size, "sha256": file.sha256} for name, file in manifest.files.items()]
    return {
        **describe(call, model, is_default=model.id in call.services.models.defaults()),
        "files": files,
        "projector": manifest.projector,
        "estimate": None if estimate is None else describe_estimate(estimate),
    }


def describe_estimate(estimate: Estimate) -> dict[str, Any]:
    """Bytes, and whether the box has them. `limit_bytes` is for cache and scratch, `over_bytes` what is beyond it."""
    return {
        "verdict": estimate.verdict,
        "cause": estimate.cause,
        "needed_bytes": estimate.needed,
        "weights_bytes": estimate.weights,
        "cache_bytes": estimate.cache,
        "scratch_bytes": estimate.scratch,
        "context": estimate.context,
        "parallel": estimate.parallel,
        "available_bytes": estimate.available,
        "total_bytes": estimate.total,
        "limit_bytes": estimate.limit,
        "over_bytes": estimate.over_limit,
    }


def describe(call: Call, model: ModelInfo, *, is_default: bool) -> dict[str, Any]:
    """A model with what is known of it; what was not measured is null. `error`: why it failed or is set aside."""
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
        "aliases": list(model.aliases),
        "parameters": model.parameters,
        "vision": model.vision,
        "thinking": model.thinking,
        "tools": model.tools,
        "architecture": model.architecture,
        "loading": None if model.loading is None else dict(model.loading),
        "error": described(model.error, call.language) if model.error else None,
    }
