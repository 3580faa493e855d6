"""`/setup-link`: a one-time link to first set-up, for `hako serve`, which prints it on the box's own terminal."""

from typing import Any

from flask import Blueprint

from appliance.accounts.permissions import Permission
from webui import routing, setup_link
from webui.routing import Call

api = Blueprint("setup_link", __name__)


@routing.route(api, "POST", "/setup-link", permission=Permission.BOX_MANAGE)
def make(call: Call) -> dict[str, Any]:
    """`path` is null once there is an account."""
    path = setup_link.make(call.services)
    if path is not None:
        call.services.audit.record(call.who.name, "setup-link-made")
    return {"path": path}
