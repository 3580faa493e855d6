"""`/setup-link` and `/first-setup`: the way into first set-up, for who reads the box's own screen or terminal."""

from typing import Any

from flask import Blueprint, request

from appliance.accounts.permissions import Permission
from appliance.errors import ConflictError, ForbiddenError
from webui import connection, routing, setup_link
from webui.routing import Call
from webui.setup_link import Invitation

api = Blueprint("setup_link", __name__)


@routing.route(api, "POST", "/setup-link", permission=Permission.BOX_MANAGE)
def make(call: Call) -> dict[str, Any]:
    """`path` and `code` are null once there is an account."""
    invitation = setup_link.make(call.services)
    if invitation is not None:
        call.services.audit.record(call.who.name, "setup-link-made")
    return _described(invitation)


@routing.route(api, "POST", "/first-setup", permission=routing.PUBLIC)
def make_first() -> dict[str, Any]:
    """The same before there is a vault. Only on the box's own socket, where the kernel vouches for who it is."""
    box = routing.box()
    if not connection.is_local_admin(request.environ):
        raise ForbiddenError("not on the admin socket")
    if not box.lacks_vault():
        raise ConflictError("there is a vault", name="vault.json")
    return _described(setup_link.make(box.first))


def _described(invitation: Invitation | None) -> dict[str, Any]:
    return {"path": invitation and invitation.path, "code": invitation and invitation.code}
