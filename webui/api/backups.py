"""`/backups`: where they go and when, making, verifying and rehearsing them; restoring is the terminal's alone."""

from pathlib import Path
from typing import Annotated, Any

from flask import Blueprint
from pydantic import Field, StringConstraints, model_validator

from appliance.accounts.permissions import Permission
from appliance.backup.backups import Action, Listed, Marks, plain
from appliance.backup.schedule import Schedule, Time
from appliance.backup.targets import Target
from appliance.clock import iso
from appliance.errors import ForbiddenError
from appliance.jobs.queue import Job
from webui import reauth, routing, shapes
from webui.api.runs import described, with_title
from webui.routing import Call

api = Blueprint("backups", __name__)

_INSIDE = frozenset({"code", "params", "at", "made_at", "made_id", "made_in", "known"})

Folder = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Password = Annotated[str, StringConstraints(max_length=1024)]
Keep = Annotated[int, Field(ge=0, le=10_000)]


class Place(shapes.Shape):
    """A folder of this machine; from a browser one of the settings' only."""

    folder: Folder


class Work(Place):
    """What is to be done there. `keep`: so many of the newest stay, 0 for all; it and `models` are for `create`."""

    action: Action
    models: bool = False
    keep: Keep = 0
    password: Password = ""


class Plan(shapes.Shape):
    """Every so many `hours`, or each day `at` a time of the box's clock; neither for never. `keep`: 0 for all."""

    folder: Folder | None = None
    hours: Annotated[int, Field(ge=0, le=24 * 366)] = 0
    at: Time | None = None
    keep: Keep = 14
    password: Password = ""

    @model_validator(mode="after")
    def _check(self) -> "Plan":
        if self.hours and self.at:
            raise ValueError("either hours or at")
        if (self.hours or self.at) and self.folder is None:
            raise ValueError("folder")
        return self


@routing.route(api, "GET", "/backups", permission=Permission.BOX_MANAGE)
def show(call: Call) -> dict[str, Any]:
    """The schedule, whether it is kept to, the newest backup, and how each action ended the last time."""
    return _now(call)


@routing.route(api, "PUT", "/backups/schedule", permission=Permission.BOX_MANAGE, body=Plan)
def put_schedule(call: Call, wish: Plan) -> dict[str, Any]:
    """Set when backups are made by the clock, and where they go."""
    if wish.folder is not None:
        _demand_allowed(call, wish.folder)
    reauth.demand(call, wish.password)
    folder = None if wish.folder is None else Path(wish.folder)
    call.services.backups.plan(Schedule(folder=folder, hours=wish.hours, at=wish.at, keep=wish.keep), call.who.name)
    return _now(call)


@routing.route(api, "GET", "/backups/targets", permission=Permission.BOX_MANAGE)
def targets(call: Call) -> dict[str, Any]:
    """Where backups could go, as it is now, with the room there; `media`: below what that was looked for."""
    with routing.place(call):
        found = call.services.backups.targets()
    return {
        "items": [_target(each) for each in found],
        "media": [str(folder) for folder in call.services.settings.storage.media],
    }


@routing.route(api, "POST", "/backups/look", permission=Permission.BOX_MANAGE, body=Place)
def look(call: Call, place: Place) -> dict[str, Any]:
    """The backups of this box in a folder, the newest first."""
    _demand_allowed(call, place.folder)
    with routing.place(call):
        marks = call.services.backups.marks()
        items = call.services.backups.snapshots(place.folder)
        return {"items": [_listed(call, each, marks.get(each.id, Marks())) for each in items]}


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


def _now(call: Call) -> dict[str, Any]:
    backups = call.services.backups
    plan, due, newest = backups.schedule(), backups.due_at(), backups.newest()
    return {
        "state": backups.state(),
        "folder": str(plan.folder) if plan.folder else None,
        "hours": plan.hours,
        "at": plan.at,
        "keep": plan.keep,
        "set_by": plan.set_by,
        "due_at": iso(due) if due is not None else None,
        "newest": newest
        and {
            "id": newest.id,
            "made_at": iso(newest.at),
            "folder": str(newest.folder),
            **_marks(backups.marks().get(newest.id, Marks())),
        },
        "last": {action: _ended(call, said) for action, said in backups.last().items()},
    }


def _demand_allowed(call: Call, folder: str) -> None:
    """A browser may name the folders of schedule and settings, and what lies below the places for sticks.

    A link counts as where it leads.

    Raises:
        BadInputError: not a path from the root on.
        ForbiddenError: somewhere else.
    """
    path = plain(folder)
    if call.who.via == "socket":
        return
    settings = call.services.settings
    real = Path(path).resolve()
    known = (settings.backup.folder, call.services.backups.schedule().folder)
    if any(folder is not None and real == folder.resolve() for folder in known):
        return
    if not any(real != root.resolve() and real.is_relative_to(root.resolve()) for root in settings.storage.media):
        raise ForbiddenError("a path of this machine is for who works on it")


def _target(each: Target) -> dict[str, Any]:
    return {
        "folder": str(each.folder),
        "name": each.folder.name,
        "there": each.is_there,
        "writable": each.is_writable,
        "has_backups": each.has_backups,
        "own_disk": each.is_own_disk,
        "free_bytes": each.free,
        "total_bytes": each.total,
    }


def _marks(known: Marks) -> dict[str, Any]:
    return {
        "verified_at": iso(known.verified) if known.verified is not None else None,
        "rehearsed_at": iso(known.rehearsed) if known.rehearsed is not None else None,
    }


def _listed(call: Call, each: Listed, known: Marks) -> dict[str, Any]:
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
        **_marks(known),
    }


def _ended(call: Call, said: dict[str, Any]) -> dict[str, Any]:
    """As it was remembered, with times and an error as the API gives them."""
    shown = {name: value for name, value in said.items() if name not in _INSIDE}
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
