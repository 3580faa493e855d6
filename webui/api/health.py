"""`/health`: what was found on the box and its computer, its history, fixes."""

from typing import Annotated, Any

from flask import Blueprint
from pydantic import Field, StringConstraints

from appliance import clock
from appliance.accounts.permissions import Permission
from appliance.clock import iso
from appliance.errors import InferenceUnreachableError
from appliance.gateway.pace import PACE
from appliance.health import fixes, told
from appliance.health.health import LONGEST_SNOOZE_DAYS
from appliance.health.store import Span
from appliance.inference.client import InferenceClient
from appliance.machine import resources
from webui import routing, shapes
from webui.routing import Call

api = Blueprint("health", __name__)

_MOST_NAMES = 20

Key = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Measure = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_.:-]{1,80}$")]


class Wanted(shapes.Shape):
    """Names of measures, and how far back."""

    name: Annotated[list[Measure], Field(min_length=1, max_length=_MOST_NAMES)]
    span: Span = "24h"


class Found(shapes.Shape):
    """The key of a finding as it was shown."""

    key: Key


class Snooze(Found):
    """For how many days nobody is to be reminded of it; 0 for being reminded again."""

    days: Annotated[int, Field(ge=0, le=LONGEST_SNOOZE_DAYS)]


@routing.route(api, "GET", "/health", permission=Permission.BOX_MANAGE)
def show(call: Call) -> dict[str, Any]:
    """Every check with what it saw last, and every finding, the worst first."""
    shown = told.health(call.services.health.now(), clock.now())
    return {**shown, "up_since": iso(routing.box().began_at)}


@routing.route(api, "GET", "/health/history", permission=Permission.BOX_MANAGE, query=Wanted)
def history(call: Call, wish: Wanted) -> dict[str, Any]:
    """At most 300 points of each measure, oldest first."""
    found = call.services.health.history(wish.name, wish.span)
    return {"items": [{"name": name, "points": points} for name, points in found.items()]}


@routing.route(api, "GET", "/health/now", permission=Permission.BOX_MANAGE)
def live(call: Call) -> dict[str, Any]:
    """The figures of this very moment, for a page that asks every few seconds."""
    total = resources.total()
    try:
        states = InferenceClient(call.services.settings.inference_socket).status().values()
    except InferenceUnreachableError:
        states = {}.values()
    return {
        "at": iso(clock.now()),
        "cpu": resources.cpu_used(),
        "memory": {"used": max(0, total - resources.available()), "total": total},
        "tokens_per_s": PACE.now(),
        "waiting": sum(int(model["waiting"]) for model in states),
        "running": sum(int(model["busy"]) for model in states),
    }


@routing.route(api, "POST", "/health/look", permission=Permission.BOX_MANAGE, status=202)
def look(call: Call) -> dict[str, Any]:
    """Have everything looked at as soon as possible: `checked_at` then lies behind `asked_at`."""
    at = clock.now()
    call.services.health.ask()
    return {"asked_at": iso(at)}


@routing.route(api, "POST", "/health/fixes/<name>", permission=Permission.BOX_MANAGE, body=Found)
def fix(call: Call, found: Found, name: str) -> dict[str, Any]:
    """Do what the button of a finding says, and look again; takes as long as it takes."""
    with routing.place(call):
        fixes.mend(call.services.health, name, found.key, call.who.name)
    return show_findings(call)


@routing.route(api, "POST", "/health/snooze", permission=Permission.BOX_MANAGE, body=Snooze)
def snooze(call: Call, wish: Snooze) -> dict[str, Any]:
    """Put a finding off."""
    call.services.health.snooze(wish.key, wish.days)
    call.services.audit.record(call.who.name, "health-snoozed", finding=wish.key, days=wish.days)
    return show_findings(call)


def show_findings(call: Call) -> dict[str, Any]:
    """What is found now."""
    now = call.services.health.now()
    return {"state": now.state, "findings": [told.finding(found, clock.now()) for found in now.findings]}
