"""`/models/<id>/projector`: the file with which a model sees, brought to one that is here, and taken away again."""

import contextlib
from typing import Annotated, Any

from flask import Blueprint
from pydantic import Field, StringConstraints, model_validator

from appliance.accounts.permissions import Permission
from appliance.errors import ForbiddenError, HakoError
from appliance.inference.model_projectors import ProjectorPlan
from appliance.inference.source import Source, opened
from webui import routing, shapes
from webui.api.model_uploads import owner_of
from webui.api.models import describe_estimate
from webui.routing import Call

api = Blueprint("model_projector", __name__)

Handle = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]


class NewProjector(shapes.Shape):
    """Where the file is."""

    path: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """Of this machine; on the admin socket only."""
    upload: Handle | None = None
    """One of one's own uploads."""
    media: Handle | None = None
    """A file of `/models/media`."""
    dry_run: bool = False

    @model_validator(mode="after")
    def _one_place(self) -> "NewProjector":
        if [self.path, self.upload, self.media].count(None) != 2:
            raise ValueError("exactly one of path, upload, media")
        return self


@routing.route(api, "POST", "/models/<model_id>/projector", permission=Permission.MODELS_MANAGE, body=NewProjector)
def add(call: Call, body: NewProjector, model_id: str) -> Any:
    """Checked and brought; a dry run only says what it is and what the model then takes."""
    models = call.services.models
    with routing.box().places.take(call.who.name):
        source, shared = _file(call, body)
        if body.dry_run:
            return _describe(call, model_id, models.plan_projector(model_id, source))
        plan = models.add_projector(model_id, source, shared)
    if body.upload is not None:
        with contextlib.suppress(HakoError):  # dropped meanwhile; the model has its bytes
            models.uploads.drop(owner_of(call), body.upload)
    call.services.audit.record(call.who.name, "model-projector-added", model_id, name=plan.name)
    return _describe(call, model_id, plan), 201


@routing.route(api, "DELETE", "/models/<model_id>/projector", permission=Permission.MODELS_MANAGE)
def remove(call: Call, model_id: str) -> None:
    """Erased; the model goes on without seeing."""
    call.services.models.remove_projector(model_id)
    call.services.audit.record(call.who.name, "model-projector-removed", model_id)


def _file(call: Call, body: NewProjector) -> tuple[Source, str]:
    """The open file, and its path where its bytes can be shared: those of an upload are on the box's disk already."""
    models = call.services.models
    if body.path is not None:
        if call.who.via != "socket":
            raise ForbiddenError("a path of this machine is for who works on it")
        return opened(body.path), ""
    if body.upload is not None:
        upload = models.uploads.get(owner_of(call), body.upload)
        return models.uploads.opened(upload), str(models.uploads.file(upload))
    return models.media.opened(body.media or ""), ""


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
