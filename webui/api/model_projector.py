"""`/models/<id>/projector`: the file with which a model sees, brought to one that is here, and taken away again."""

from typing import Any

from flask import Blueprint

from appliance.accounts.permissions import Permission
from appliance.inference.model_projectors import ProjectorPlan
from webui import routing
from webui.api.model_place import BroughtFile
from webui.api.models import describe_estimate
from webui.routing import Call

api = Blueprint("model_projector", __name__)


@routing.route(api, "POST", "/models/<model_id>/projector", permission=Permission.MODELS_MANAGE, body=BroughtFile)
def add(call: Call, body: BroughtFile, model_id: str) -> Any:
    """Checked and brought; a dry run only says what it is and what the model then takes."""
    models = call.services.models
    with routing.box().places.take(call.who.name):
        source, shared = body.opened(call)
        if body.dry_run:
            return _describe(call, model_id, models.plan_projector(model_id, source))
        plan = models.add_projector(model_id, source, shared)
    body.forget(call)
    call.services.audit.record(call.who.name, "model-projector-added", model_id, name=plan.name)
    return _describe(call, model_id, plan), 201


@routing.route(api, "DELETE", "/models/<model_id>/projector", permission=Permission.MODELS_MANAGE)
def remove(call: Call, model_id: str) -> None:
    """Erased; the model goes on without seeing."""
    call.services.models.remove_projector(model_id)
    call.services.audit.record(call.who.name, "model-projector-removed", model_id)


def _describe(call: Call, model_id: str, plan: ProjectorPlan) -> dict[str, Any]:
    estimate = call.services.models.estimate(plan.manifest, held=0)
    return {
        "model": model_id,
        "name": plan.name,
        "kind": plan.projector.kind,
        "width": plan.projector.width,
        "picture_pixels": plan.projector.side,
        "size_bytes": plan.size,
        "estimate": None if estimate is None else describe_estimate(estimate),
    }
