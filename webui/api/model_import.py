"""`/models/import`: a file or folder becomes a model: an upload, one on a stick, or at the terminal any path."""

import dataclasses
from collections.abc import Callable, Generator, Iterator
from typing import Annotated, Any, Literal

from flask import Blueprint, Response, request
from pydantic import Field, StringConstraints

from appliance.accounts.permissions import Permission
from appliance.clock import monotonic
from appliance.errors import BadInputError, ForbiddenError, HakoError, ModelTooCoarseError
from appliance.inference import legacy, quantisations
from appliance.inference.genai_importing import GenaiPlan
from appliance.inference.importing import Imported, Plan, Wish
from appliance.inference.incoming_folder import is_folder
from appliance.inference.onnx_importing import FolderPlan, FolderWish
from appliance.inference.source import Source, SourceFolder
from webui import connection, routing, shapes, sse
from webui.api import model_import_folder, model_requantise
from webui.api.model_import_folder import AnyIncoming, FolderPart
from webui.api.model_place import BroughtFile
from webui.api.model_uploads import owner_of
from webui.api.models import describe_estimate
from webui.api.runs import described
from webui.routing import Call

api = Blueprint("model_import", __name__)

_TELL_S = 0.2

Path = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Form = Annotated[str, StringConstraints(min_length=1, max_length=20)]
Language = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]


class Import(BroughtFile, FolderPart):
    """Which file or folder, and what only a person can say of it."""

    licence: shapes.Name
    source: shapes.Name | None = None
    languages: Annotated[tuple[Language, ...], Field(max_length=100)] = ()
    name: shapes.Name | None = None
    link: bool = False
    engine: Literal["llama", "ctransformers"] = "llama"
    projector: Path | None = None
    """The file with which the model sees pictures; of this machine, too."""
    requantise: Form | None = None
    """What a smaller copy is stored as that is made afterwards, one of the plan's `smaller`."""

    def wish(self, path: str) -> Wish:
        """As the importer takes it. An upload is shared: its bytes are on the box's own disk already."""
        if self.kind is not None:
            raise BadInputError("a GGUF file says it itself", field="kind")
        return Wish(
            path=path,
            licence=self.licence,
            source=self.source or "",
            languages=self.languages,
            name=self.name or "",
            link=self.link or self.upload is not None,
            engine=self.engine,
            projector=self.projector or "",
            pooling=self.pooling,
            query_prefix=self.query_prefix,
            passage_prefix=self.passage_prefix,
        )

    def of_folder(self) -> FolderWish:
        """The same for a folder."""
        for field, is_said in (
            ("engine", self.engine != "llama"),
            ("projector", self.projector is not None),
            ("requantise", self.requantise is not None),
        ):
            if is_said:
                raise BadInputError("not for folders", field=field)
        return self.folder_wish(
            self.path or "", self.licence, self.source or "", self.languages, self.name or "", link=self.link
        )


@routing.route(api, "GET", "/models/media", permission=Permission.MODELS_MANAGE)
def list_media(call: Call) -> dict[str, Any]:
    """The models on sticks, and in the folders that the operator named for it, as they are now."""
    return {
        "items": [
            {
                "id": item.id,
                "name": item.name,
                "folder": item.place,
                "size_bytes": item.size,
                "kind": "folder" if item.is_folder else "file",
            }
            for item in call.services.models.media.found()
        ],
        "folders": [str(folder) for folder in call.services.settings.storage.media],
    }


@routing.route(api, "POST", "/models/import", permission=Permission.MODELS_MANAGE, body=Import)
def bring(call: Call, body: Import) -> Response:
    """Whole, or with `Accept: text/event-stream` with its progress. Who leaves in the middle cancels the import.

    Once the model is there it stays, whatever becomes of the smaller copy.
    """
    if body.dry_run:
        return routing.answer({"plan": _describe(_planned(call, body), body.engine)})
    place = routing.place(call)
    try:
        incoming = _begun(call, body)
    except BaseException:
        place.close()
        raise
    left = connection.watcher(request.environ)
    events = _events(call, body, incoming, left)
    if "text/event-stream" in request.headers.get("Accept", ""):
        return sse.response(sse.frames(_told(call, events), left), events.close, incoming.close, place.close)
    with place, incoming:
        *_, last = (event for event in events if event is not None)
        return routing.answer(dict(last.data), 200 if last.data["already_there"] else 201)


def _planned(call: Call, body: Import) -> Plan | FolderPlan | GenaiPlan:
    models, place = call.services.models, _opened(call, body)
    wish = _wished(call, body, place)
    if isinstance(wish, FolderWish):
        return models.plan_folder(wish, place if isinstance(place, SourceFolder) else None)
    plan = models.plan(wish, place if isinstance(place, Source) else None)
    _demand_smaller(body, plan)
    return plan


def _begun(call: Call, body: Import) -> AnyIncoming:
    models, place = call.services.models, _opened(call, body)
    wish = _wished(call, body, place)
    if isinstance(wish, FolderWish):
        return models.begin_folder(wish, place if isinstance(place, SourceFolder) else None)
    incoming = models.begin(wish, place if isinstance(place, Source) else None)
    try:
        _demand_smaller(body, incoming.plan)
    except BaseException:
        incoming.close()
        raise
    return incoming


def _smaller(engine: str, plan: Plan) -> tuple[str, ...]:
    """The forms of a smaller copy; none for what the standard engine doesn't run, or can't be measured by chats."""
    return quantisations.smaller(plan.header.quantization) if engine == "llama" and not plan.vectors else ()


def _demand_smaller(body: Import, plan: Plan) -> None:
    """Refuse a copy that can't come to anything before any byte is brought."""
    if body.requantise is None:
        return
    if body.engine != "llama" or plan.vectors:
        raise BadInputError("not for this engine or kind of model", field="requantise")
    wanted = body.requantise.upper()
    if wanted not in quantisations.TARGETS:
        raise BadInputError(f"not one of {', '.join(quantisations.TARGETS)}", field="requantise")
    if wanted not in _smaller(body.engine, plan):
        raise ModelTooCoarseError(name=plan.name, quantization=plan.header.quantization, to=wanted)


def _opened(call: Call, body: Import) -> Source | SourceFolder | None:
    """What the body names, open unless it is a path."""
    models = call.services.models
    if (body.path or body.projector) is not None and call.who.via != "socket":
        raise ForbiddenError("a path of this machine is for who works on it")
    if body.path is not None:
        return None
    if body.link:
        raise BadInputError(field="link")
    if body.upload is not None:
        return models.uploads.opened(models.uploads.get(owner_of(call), body.upload))
    return models.media.taken(body.media or "")


def _wished(call: Call, body: Import, place: Source | SourceFolder | None) -> Wish | FolderWish:
    """What is wished for it, by what it is; if that can't be, `place` is closed."""
    try:
        if isinstance(place, SourceFolder) or (body.path is not None and is_folder(body.path)):
            return body.of_folder()
        uploads = call.services.models.uploads
        upload = uploads.get(owner_of(call), body.upload) if body.upload is not None else None
        return body.wish(body.path or (str(uploads.file(upload)) if upload else ""))
    except BaseException:
        if place is not None:
            place.close()
        raise


def _told(call: Call, events: Iterator[sse.Event | None]) -> Iterator[sse.Event | None]:
    try:
        yield from events
    except HakoError as error:
        yield sse.Event("error", described(error, call.language))


def _events(call: Call, body: Import, incoming: AnyIncoming, left: Callable[[], bool]) -> Generator[sse.Event | None]:
    """All that happens, `done` last."""
    yield sse.Event("plan", _describe(incoming.plan, body.engine))
    due = 0.0
    for done in incoming.copy():
        now = monotonic()
        yield sse.Event("progress", {"done": done, "total": incoming.plan.size}) if now >= due else None
        due = now + _TELL_S if now >= due else due
    result = _finish(call, body, incoming)
    if body.requantise is not None:
        yield sse.Event("imported", result)
        copied = yield from model_requantise.of_import(call, result["model"], body.requantise, left)
        result = {**result, **copied}
    yield sse.Event("done", result)


def _finish(call: Call, body: Import, incoming: AnyIncoming) -> dict[str, Any]:
    imported: Imported = incoming.finish()
    manifest = imported.manifest
    body.forget(call)
    if imported.is_new:
        digest = manifest.files[manifest.entry].sha256
        call.services.audit.record(
            call.who.name, "model-imported", manifest.id, sha256=digest, licence=manifest.licence
        )
    return {"model": manifest.id, "name": manifest.name, "already_there": not imported.is_new}


def _describe(plan: Plan | FolderPlan | GenaiPlan, engine: str) -> dict[str, Any]:
    if isinstance(plan, FolderPlan):
        return model_import_folder.describe(plan)
    if isinstance(plan, GenaiPlan):
        return model_import_folder.describe_chat(plan)
    header, vectors = plan.header, plan.vectors
    engines = ["llama", *([legacy.ENGINE] if legacy.version() and not legacy.obstacle(header) and not vectors else [])]
    return {
        "model": plan.model,
        "name": plan.name,
        "kind": "embedding" if vectors else "chat",
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
        "projector": plan.projector.name if plan.projector else None,
        "estimate": describe_estimate(plan.estimate),
        "engines": engines,
        "smaller": list(_smaller(engine, plan)),
        **(dataclasses.asdict(vectors) if vectors else {}),
    }
