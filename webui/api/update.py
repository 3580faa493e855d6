"""`/update`: which release runs here, which could, changing to it, going back, and what the box sees of itself."""

from typing import Annotated, Any

from flask import Blueprint
from pydantic import StringConstraints

from appliance.accounts.permissions import Permission
from appliance.bundle.update.state import Release, Update
from webui import reauth, routing, shapes
from webui.routing import Call

api = Blueprint("update", __name__)

Password = Annotated[str, StringConstraints(max_length=1024)]


class Start(shapes.Shape):
    """The release that is installed, by the digest of its bundle. `irreversible`: agreed that there is no way back."""

    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    irreversible: bool = False
    password: Password = ""


class Back(shapes.Shape):
    """Going back to the release before."""

    password: Password = ""


@routing.route(api, "GET", "/update", permission=Permission.BUNDLES_TAKE)
def show(call: Call) -> dict[str, Any]:
    """What runs here, how far an update is or how the last one ended, and what an operator could do."""
    standing = call.services.bundles.updates.standing()
    return {
        "running": _release(standing.running),
        "floor": standing.floor,
        "ready": _release(standing.ready),
        "back": _release(standing.back),
        **_update(standing.update),
    }


@routing.route(api, "POST", "/update/start", permission=Permission.BUNDLES_TAKE, body=Start, status=202)
def start(call: Call, wish: Start) -> dict[str, Any]:
    """Change to the release that is installed: the box stops within seconds, and comes back with that one on trial."""
    reauth.demand(call, wish.password)
    gap = "closed" if call.services.destinations.all() else routing.box().gap.look().state
    updates = call.services.bundles.updates
    return _update(updates.start(wish.digest, call.who.name, gap, irreversible=wish.irreversible))


@routing.route(api, "POST", "/update/rollback", permission=Permission.BUNDLES_TAKE, body=Back, status=202)
def roll_back(call: Call, wish: Back) -> dict[str, Any]:
    """Take back the release that is on trial, or go back to the one before."""
    reauth.demand(call, wish.password)
    return _update(call.services.bundles.updates.roll_back(call.who.name))


@routing.route(api, "GET", "/update/checks", permission=Permission.BUNDLES_TAKE)
def checks(call: Call) -> dict[str, Any]:
    """What can't be seen from outside: whether the audit log is as it was written, and what has left the box."""
    remote, log = call.services.gateway.remote, call.services.audit.verify()
    return {
        "audit_sound": log.is_sound,
        "audit_entries": log.entries,
        "gap": routing.box().gap.look().state,
        "sent": remote.sent if remote else 0,
        "destinations": len(call.services.destinations.all()),
    }


def _update(update: Update) -> dict[str, Any]:
    target = update.target if update.target.name else None
    return {
        "phase": update.phase.value,
        "target": _release(target),
        "boots_left": update.boots_left,
        "reason": update.reason,
    }


def _release(release: Release | None) -> dict[str, Any] | None:
    if release is None:
        return None
    return {
        "version": release.version,
        "counter": release.counter,
        "digest": release.digest,
        "irreversible": release.irreversible,
    }
