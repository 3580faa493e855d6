"""`/update/system`: the system below the box on a machine with two slots: which runs, which waits, and going back."""

from typing import Annotated, Any

from flask import Blueprint
from pydantic import StringConstraints

from appliance.accounts.permissions import Permission
from appliance.bundle.update.system_state import Ended, Other, Standing
from appliance.clock import iso
from webui import reauth, routing, shapes
from webui.routing import Call

api = Blueprint("system", __name__)


class Back(shapes.Shape):
    """Going back to the system in the other slot."""

    password: Annotated[str, StringConstraints(max_length=1024)] = ""


@routing.route(api, "GET", "/update/system", permission=Permission.BUNDLES_TAKE)
def show(call: Call) -> dict[str, Any]:
    """What runs, what waits or is on trial, and how the last one ended; null where the machine runs no image."""
    standing = call.services.bundles.systems.standing()
    return {"system": _standing(standing) if standing else None}


@routing.route(api, "POST", "/update/system/back", permission=Permission.BUNDLES_TAKE, body=Back, status=202)
def back(call: Call, wish: Back) -> None:
    """The machine starts anew within seconds, with the system in its other slot; recorded once that has happened.

    One that waits for its first start is dropped instead, without a restart.
    """
    reauth.demand(call, wish.password)
    call.services.bundles.systems.back()


def _standing(standing: Standing) -> dict[str, Any]:
    running = standing.running
    return {
        "slot": standing.slot,
        "running": {"number": running.number, "version": running.version},
        "profile": running.profile,
        "other": _other(standing.other),
        "alone": standing.alone,
        "phase": standing.phase,
        "wanted": _other(standing.wanted),
        "reason": standing.reason,
        "done": standing.done,
        "total": standing.total,
        "can_go_back": standing.can_go_back,
        "last": _ended(standing.ended),
    }


def _other(other: Other | None) -> dict[str, Any] | None:
    return {"number": other.number, "version": other.version} if other else None


def _ended(ended: Ended | None) -> dict[str, Any] | None:
    if ended is None:
        return None
    return {
        "number": ended.number,
        "version": ended.version,
        "kept": ended.kept,
        "reason": ended.reason,
        "at": iso(ended.at),
    }
