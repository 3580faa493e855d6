"""The page that starts the front end, for every address that is the front end's own."""

from urllib.parse import quote

from flask import Blueprint, Response

from appliance.errors import NotFoundError
from webui import routing, session
from webui.api.me import describe_me
from webui.api.state import describe
from webui.pages.frame import Frame, go

_ENTRY = "src/main.ts"
_NOT_PAGES = ("api/", "v1/", "static/")


def blueprint(frame: Frame) -> Blueprint:
    """`GET` of everything that nobody else serves."""
    pages = Blueprint("shell", __name__)

    def view(path: str = "") -> Response:
        if path in ("api", "v1", "static") or path.startswith(_NOT_PAGES):
            raise NotFoundError
        services = frame.box.services()
        visitor = session.current(services)
        if visitor is None or visitor.user is None:
            return go("/sign-in" + (f"?next=/{quote(path)}" if path else ""))
        if not visitor.principal.is_operator:
            routing.demand_settled(visitor.principal)
        frame.assets.entry(_ENTRY)
        call = routing.Call(services, visitor.principal, visitor.user, session.language(frame.box.settings))
        boot = {"me": describe_me(call, frame.box.settings), "state": describe(frame.box, visitor.principal)}
        return frame.page("shell.html", boot=boot, theme=visitor.user.theme)

    public = routing.declare(view, routing.PUBLIC)
    pages.add_url_rule("/", "start", public, methods=["GET"])
    pages.add_url_rule("/<path:path>", "page", public, methods=["GET"])
    return pages
