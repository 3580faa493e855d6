"""`/health/kit`: the support kit, first what is in it, then the file."""

from typing import Any, Final

from flask import Blueprint, Response

from appliance.accounts.permissions import Permission
from webui import locales, routing, security
from webui.routing import Call

api = Blueprint("health-kit", __name__)

NAME: Final = "hako-support.zip"


@routing.route(api, "GET", "/health/kit", permission=Permission.BOX_MANAGE)
def show(call: Call) -> dict[str, Any]:
    """The names and sizes of what would be in it now, and what each is about."""
    with routing.place(call):
        made = call.services.kit(security.CSP)
    return {
        "files": [{"name": name, "bytes": len(content), "about": _about(call, name)} for name, content in made.files]
    }


@routing.route(api, "GET", "/health/kit/file", permission=Permission.BOX_MANAGE)
def download(call: Call) -> Response:
    """A ZIP of it; that it was taken is on record."""
    with routing.place(call):
        content = call.services.kit(security.CSP).packed()
    call.services.audit.record(call.who.name, "support-kit-taken")
    response = Response(content, content_type="application/zip")
    response.headers["Content-Disposition"] = f'attachment; filename="{NAME}"'
    return response


def _about(call: Call, name: str) -> str:
    return locales.t(f"export.kit.file.{name.partition('.')[0]}", call.language)
