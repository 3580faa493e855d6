"""`/openapi.json`: the addresses of this box for programs that read such a description."""

from typing import Any

from flask import Blueprint, current_app

from appliance.accounts.permissions import Permission
from webui import openapi, routing
from webui.routing import Call

api = Blueprint("openapi", __name__)


@routing.route(api, "GET", "/openapi.json", permission=Permission.CHAT)
def show(_call: Call) -> dict[str, Any]:
    """This document."""
    return openapi.document(current_app)
