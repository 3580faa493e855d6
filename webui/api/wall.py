"""`/wall`: the box in six lamps, for a display that hangs on a wall, and the links that open one."""

from typing import Any, Final

from flask import Blueprint

from appliance import clock
from appliance.accounts.permissions import Permission
from appliance.accounts.wall_links import WallLink
from appliance.clock import iso
from appliance.health.finding import State, worst
from appliance.health.health import is_snoozed
from appliance.health.lamps import lamps
from appliance.services import Services
from webui import routing, shapes
from webui.api import state
from webui.box import Box
from webui.routing import Call

api = Blueprint("wall", __name__)

VERDICTS: Final[dict[State, str]] = {"ok": "well", "unknown": "unknown", "warning": "warning", "error": "error"}


class NewLink(shapes.Shape):
    """Where the display hangs, in the operator's words."""

    name: shapes.Name


@routing.route(api, "GET", "/wall", permission=Permission.WALL_SEE)
def show(call: Call) -> dict[str, Any]:
    """Six lamps, one sentence, the air gap: nothing that a visitor may not read."""
    return describe_wall(routing.box(), call.services)


@routing.route(api, "GET", "/wall/links", permission=Permission.BOX_MANAGE)
def list_links(call: Call) -> dict[str, Any]:
    return {"items": [describe(link) for link in call.services.wall_links.list()]}


@routing.route(api, "POST", "/wall/links", permission=Permission.BOX_MANAGE, body=NewLink, status=201)
def create(call: Call, wish: NewLink) -> dict[str, Any]:
    """The only answer that ever holds the secret; behind `#` it reaches no log and no other site."""
    link, secret = call.services.wall_links.create(wish.name)
    call.services.audit.record(call.who.name, "wall-link-made", link.name)
    return {"path": f"/wall#{secret}", "item": describe(link)}


@routing.route(api, "DELETE", "/wall/links/<link_id>", permission=Permission.BOX_MANAGE)
def revoke(call: Call, link_id: str) -> None:
    link = call.services.wall_links.revoke(link_id)
    call.services.audit.record(call.who.name, "wall-link-revoked", link.name)


def describe_wall(box: Box, services: Services) -> dict[str, Any]:
    """What the display shows. `count`: of findings that nobody has put off."""
    at, health, gap = clock.now(), services.health.now(), state.describe(box)["gap"]
    shown = lamps(health, at)
    worst_lamp = worst(list(shown.values()))
    count = sum(not is_snoozed(found, at) for found in health.findings)
    return {
        "state": worst_lamp,
        "lamps": [{"name": name, "state": lamp} for name, lamp in shown.items()],
        "verdict": {"word": VERDICTS[worst_lamp], "params": {"count": count}},
        "gap": {"state": gap["state"], "sent": gap["sent"]},
        "at": iso(at),
    }


def describe(link: WallLink) -> dict[str, Any]:
    """A link as operators see it."""
    return {
        "id": link.id,
        "name": link.name,
        "created_at": iso(link.created_at),
        "seen_at": None if link.seen_at is None else iso(link.seen_at),
    }
