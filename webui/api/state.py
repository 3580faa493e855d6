"""`/state`: the air gap and the vault as they are now; answers while sealed and before signing in, too."""

from typing import Any

from flask import Blueprint

from appliance import clock
from appliance.accounts.permissions import Principal
from appliance.clock import iso
from appliance.errors import HakoError
from appliance.gateway.destinations import Destinations
from appliance.health.health import is_snoozed
from webui import routing, session
from webui.box import Box

api = Blueprint("state", __name__)


def describe(box: Box, who: Principal | None = None) -> dict[str, Any]:
    """What anybody may see; for who is signed in the destinations, and whether the recovery key was written down.

    Operators see as well whether the last look at the audit log found it whole, whether backups are made, how the box
    is, and whether anybody has an account yet.
    """
    gap = box.gap.look()
    named = Destinations(box.settings.destinations).all().values()
    state: dict[str, Any] = {
        "gap": {
            "state": "open" if named else gap.state,  # what may leave counts, not only what leaves at this moment
            "sent": gap.sent + box.services().sent() if box.is_open else 0,
            "checked_at": iso(gap.checked_at),
        },
        "vault": {"state": "open" if box.is_open else "sealed"},
        "trial": box.is_trial,
    }
    if who is not None:
        state["recovery_confirmed"] = _recovery_confirmed(box)
        state["gap"]["destinations"] = [
            {"name": each.name, "address": each.address, "kind": each.kind} for each in named
        ]
        if who.is_operator and box.is_open:
            report = box.services().audit.report
            state["audit"] = "broken" if report and not report.is_sound else "sound"
            state["set_up"] = box.services().users.count() > 0
            state["backup"] = _backup(box)
            state["health"] = _health(box)
    return state


def _backup(box: Box) -> dict[str, Any]:
    """Whether the backups that the settings ask for are made; None while none ever was."""
    backups = box.services().backups
    made = backups.made_at()
    return {"state": backups.state(), "made_at": iso(made) if made is not None else None}


def _health(box: Box) -> dict[str, Any]:
    """What was found last, and how many findings nobody has put off: for a line on every page."""
    health, at = box.services().health.now(), clock.now()
    return {"state": health.state, "findings": sum(not is_snoozed(found, at) for found in health.findings)}


def _recovery_confirmed(box: Box) -> bool:
    """True when the keys process doesn't answer: a reminder that may be wrong would only disturb."""
    try:
        return box.keys.status().recovery_confirmed
    except HakoError:
        return True


@routing.route(api, "GET", "/state", permission=routing.PUBLIC)
def show() -> dict[str, Any]:
    box = routing.box()
    who = None
    try:
        visitor = session.current(box.services())
        who = visitor.principal if visitor else None
    except HakoError:  # sealed, or a key that is not valid: the public part is for all
        who = None
    return describe(box, who)
