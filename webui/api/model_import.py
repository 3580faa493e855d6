"""`/models/import`: a model file of this machine becomes a model, for its operator on the admin socket only."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from flask import Blueprint, Response, request
from pydantic import Field, StringConstraints

from appliance.accounts.permissions import Permission
from appliance.clock import monotonic
from appliance.errors import ForbiddenError, HakoError
from appliance.inference.importing import Imported, Incoming, Plan, Wish
from webui import connection, routing, shapes, sse
from webui.api.models import describe_estimate
from webui.api.runs import described
from webui.routing import Call

api = Blueprint("model_import", __name__)

_TELL_S = 0.2

Path = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Language = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]


class Import(shapes.Shape):
    """Which file, and what only a person can say of it."""

    path: Path
    licence: shapes.Name
    source: shapes.Name | None = None
    languages: Annotated[tuple[Language, ...], Field(max_length=100)] = ()
    name: shapes.Name | None = None
    link: bool = False
    engine: Literal["llama", "ctransformers"] = "llama"
    dry_run: bool = False

    def wish(self) -> Wish:
        """As the importer takes it."""
        return Wish(
            path=self.path,
            licence=self.licence,
            source=self.source or "",
            languages=self.languages,
            name=self.name or "",
            link=self.link,
            engine=self.engine,
        )


@routing.route(api, "POST", "/models/import", permission=Permission.MODELS_MANAGE, body=Import)
def bring(call: Call, body: Import) -> Response:
    """Whole, or with `Accept: text/event-stream` with its progress. Who leaves in the middle cancels the import."""
    if call.who.via != "socket":
        raise ForbiddenError("a path of this machine is for who works on it")
    if body.dry_run:
        return routing.answer({"plan": _describe(call.services.models.plan(body.wish()))})
    place = routing.box().places.take(call.who.name)
    try:
        incoming = call.services.models.begin(body.wish())
    except BaseException:
        place.close()
        raise
    if "text/event-stream" in request.headers.get("Accept", ""):
        frames = sse.frames(_told(call, incoming), connection.watcher(request.environ))
        return sse.response(frames, incoming.close, place.close)
    with place, incoming:
        for _done in incoming.copy():
            pass
        result = _finish(call, incoming)
        return routing.answer(result, 200 if result["already_there"] else 201)


def _told(call: Call, incoming: Incoming) -> Iterator[sse.Event | None]:
    yield sse.Event("plan", _describe(incoming.plan))
    due = 0.0
    try:
        for done in incoming.copy():
            now = monotonic()
            yield sse.Event("progress", {"done": done, "total": incoming.plan.size}) if now >= due else None
            due = now + _TELL_S if now >= due else due
        yield sse.Event("done", _finish(call, incoming))
    except HakoError as error:
        yield sse.Event("error", described(error, call.language))


def _finish(call: Call, incoming: Incoming) -> dict[str, Any]:
    imported: Imported = incoming.finish()
    manifest = imported.manifest
    if imported.is_new:
        digest = manifest.files[manifest.entry].sha256
        call.services.audit.record(
            call.who.name, "model-imported", manifest.id, sha256=digest, licence=manifest.licence
        )
    return {"model": manifest.id, "name": manifest.name, "already_there": not imported.is_new}


def _describe(plan: Plan) -> dict[str, Any]:
    header = plan.header
    return {
        "model": plan.model,
        "name": plan.name,
        "architecture": header.architecture,
        "vocabulary": header.vocabulary,
        "parameters": header.parameters,
        "quantization": header.quantization,
        "context": header.context,
        "languages": list(plan.languages),
        "stated_licence": header.licence,
        "chat_template": header.template > 0,
        "size_bytes": plan.size,
        "size_class": plan.size_class,
        "estimate": describe_estimate(plan.estimate),
    }
