"""`/backups`: what lies in a folder, making, verifying and rehearsing backups; restoring is the terminal's alone."""

from pathlib import Path
from typing import Annotated, Any

from flask import Blueprint
from pydantic import Field, StringConstraints

from appliance.accounts.permissions import Permission
from appliance.backup.backups import Action, Listed, plain
from appliance.clock import iso
from appliance.errors import ForbiddenError
from appliance.jobs.queue import Job
from webui import reauth, routing, shapes
from webui.api.runs import described, with_title
from webui.routing import Call

api = Blueprint("backups", __name__)

Folder = Annotated[str, StringConstraints(min_length=1, max_length=4096)]


class Place(shapes.Shape):
    """A folder of this machine; from a browser one of the settings' only."""

    folder: Folder


class Work(Place):
    """What is to be done there. `keep`: so many of the newest stay, 0 for all; it and `models` are for `create`."""

    action: Action
    models: bool = False
    keep: Annotated[int, Field(ge=0, le=10_000)] = 0
    password: Annotated[str, StringConstraints(max_length=1024)] = ""


@routing.route(api, "GET", "/backups", permission=Permission.BOX_MANAGE)
def show(call: Call) -> dict[str, Any]:
    """What the settings ask for, whether it is done, and how each action ended the last time."""
    backups, wish = call.services.backups, call.services.settings.backup
    return {
        "state": backups.state(),
        "folder": str(wish.folder) if wish.folder else None,
        "hours": wish.hours,
        "keep": wish.keep,
        "last": {action: _ended(call, said) for action, said in backups.last().items()},
    }


@routing.route(api, "POST", "/backups/look", permission=Permission.BOX_MANAGE, body=Place)
def look(call: Call, place: Place) -> dict[str, Any]:
    """The backups of this box in a folder, the newest first."""
    _demand_allowed(call, place.folder)
    with routing.place(call):
        return {"items": [_listed(call, each) for each in call.services.backups.snapshots(place.folder)]}


@routing.route(api, "POST", "/backups/work", permission=Permission.BOX_MANAGE, body=Work, status=202)
def work(call: Call, wish: Work) -> dict[str, Any]:
    """Have the worker do it."""
    _demand_allowed(call, wish.folder)
    if wish.action == "create":
        reauth.demand(call, wish.password)
    backups = call.services.backups
    job = backups.start(wish.action, wish.folder, call.who.name, models=wish.models, keep=wish.keep)
    return {"job": _job(call, job)}


@routing.route(api, "GET", "/backups/work", permission=Permission.BOX_MANAGE)
def progress(call: Call) -> dict[str, Any]:
    """How far it is, or how the last one ended."""
    job = call.services.backups.job()
    return {"job": _job(call, job) if job else None}


@routing.route(api, "DELETE", "/backups/work", permission=Permission.BOX_MANAGE)
def cancel(call: Call) -> None:
    """Stop it; earlier backups are whole."""
    call.services.backups.cancel()


def _demand_allowed(call: Call, folder: str) -> None:
    """A browser may name the folder of the settings, and what lies below the places for sticks; links count as such.

    Raises:
        BadInputError: not a path from the root on.
        ForbiddenError: somewhere else.
    """
    path = plain(folder)
    if call.who.via == "socket":
        return
    settings = call.services.settings
    real = Path(path).resolve()
    if settings.backup.folder is not None and real == settings.backup.folder.resolve():
        return
    if not any(real != root.resolve() and real.is_relative_to(root.resolve()) for root in settings.storage.media):
        raise ForbiddenError("a path of this machine is for who works on it")


def _listed(call: Call, each: Listed) -> dict[str, Any]:
    made = each.snapshot
    if made is None:
        return {"id": each.id, "error": described(each.error, call.language) if each.error else None}
    return {
        "id": each.id,
        "error": None,
        "made_at": iso(made.at),
        "release": made.release,
        "size_bytes": made.size,
        "new_bytes": made.new_bytes,
        "missing": made.missing,
        "models": [{"id": model.id, "copied": model.is_whole} for model in made.models],
        "counts": made.counts.model_dump(),
    }


def _ended(call: Call, said: dict[str, Any]) -> dict[str, Any]:
    """As it was remembered, with times and an error as the API gives them."""
    shown = {name: value for name, value in said.items() if name not in ("code", "params", "at", "made_at", "known")}
    error = {"code": said["code"], "params": said["params"]} if said.get("code") else None
    made_at = said.get("made_at")
    return {
        **shown,
        "ended_at": iso(float(said["at"])),
        "made_at": iso(float(made_at)) if made_at is not None else None,
        "error": with_title(error, call.language) if error else None,
    }


def _job(call: Call, job: Job) -> dict[str, Any]:
    error = {"code": job.error_code, "params": job.error_params} if job.error_code else None
    return {
        "id": job.id,
        "action": job.payload["action"],
        "folder": job.payload["folder"],
        "state": job.state,
        "cancelling": job.cancel and job.state == "running",
        "stage": job.stage,
        "done": job.done,
        "total": job.total,
        "error": with_title(error, call.language) if error else None,
    }
