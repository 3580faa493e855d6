"""`/models/<id>/settings`: how a model is to be loaded, and what that takes; `/models/running`: what runs now."""

from typing import Any, Final

from flask import Blueprint

from appliance.accounts.permissions import Permission
from appliance.inference import speculation, templates
from appliance.inference.load_settings import LoadSettings
from appliance.inference.manifest import Manifest
from webui import routing, shapes
from webui.api.models import describe_estimate
from webui.routing import Call

api = Blueprint("model_settings", __name__)

_TOLD: Final = (
    "state", "busy", "waiting", "memory_bytes", "provider", "context", "parallel", "pinned", "since", "idle_s",
    "answered", "wait_s", "write_per_s",
    "loading",
)  # fmt: skip


class Trial(shapes.Shape):
    """With `dry=1` nothing is stored: only the estimate is wanted."""

    dry: bool = False


@routing.route(api, "GET", "/models/running", permission=Permission.MODELS_MANAGE)
def running(call: Call) -> dict[str, Any]:
    """The models that have a process now, with how they are doing; times in seconds."""
    names = {model.id: model.name for model in call.gateway.models()}
    states = call.services.models.running()
    items = [
        {"id": model, "name": names[model], **{key: now.get(key) for key in _TOLD}}
        for model, now in sorted(states.items())
        if model in names
    ]
    return {"items": items}


@routing.route(api, "GET", "/models/<model_id>/settings", permission=Permission.MODELS_MANAGE)
def show(call: Call, model_id: str) -> dict[str, Any]:
    manifest = call.services.models.manifest(model_id)
    return _described(call, manifest, call.services.gateway.load_settings.get(model_id))


@routing.route(
    api,
    "PUT",
    "/models/<model_id>/settings",
    permission=Permission.MODELS_MANAGE,
    body=LoadSettings,
    query=Trial,
)
def change(call: Call, wish: LoadSettings, trial: Trial, model_id: str) -> dict[str, Any]:
    """All of them at once: what the body leaves out follows the box again."""
    manifest = call.services.models.manifest(model_id)
    wish.demand_fit(manifest)
    if not trial.dry:
        store = call.services.gateway.load_settings
        if wish.template and wish.template != store.get(model_id).template:
            templates.check(wish.template)
        store.put(model_id, wish)
        call.services.audit.record(call.who.name, "model-settings-changed", model_id)
    return _described(call, manifest, wish)


def _described(call: Call, manifest: Manifest, wish: LoadSettings) -> dict[str, Any]:
    """The settings, what they come to on this box, what the box does where they say nothing, and the memory."""
    box = call.services.settings.inference
    states = call.services.models.running()
    held = states.get(manifest.id, {}).get("memory_bytes") or 0
    estimate = call.services.models.estimate(manifest, held, wish)
    gains = speculation.measured(call.services.settings.model_figures, manifest)
    return {
        "settings": wish.model_dump(),
        "box": {
            "context": LoadSettings().context_for(manifest, box),
            "parallel": box.parallel,
            "threads": box.threads,
            "idle_minutes": box.idle_minutes,
            "max_tokens": box.max_tokens,
            "speculation": speculation.resolved("auto", gains),
        },
        "most_context": manifest.context,
        "estimate": None if estimate is None else describe_estimate(estimate),
    }
