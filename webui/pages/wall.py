"""The wall display: how the box is, readable from across a room, opened by a link that an operator made."""

from typing import Any, Final

from flask import Blueprint, Response, request

from appliance.errors import HakoError, NotSignedInError, SealedError
from webui import locales, routing, session, wall_link
from webui.api.wall import describe_wall
from webui.pages.frame import Frame, go

_TRIES: Final = 10
_PER_S: Final = 60.0
_WORDS: Final = "page.wall."
_SPOKEN: Final = (
    *(f"verdict.{word}" for word in ("well", "warning", "error", "unknown", "sealed", "lost")),
    *(f"state.{state}" for state in ("ok", "warning", "error", "unknown")),
    *(f"gap.{state}" for state in ("closed", "open", "unknown")),
    "sent", "seen", "lost",
)  # fmt: skip
"""What the script says by itself, since it draws the page anew."""


def blueprint(frame: Frame) -> Blueprint:
    """`GET /wall` and `POST /wall/open`."""
    pages = Blueprint("wall", __name__)

    def view() -> Response:
        """The display itself, also while the vault is sealed: then it says that, and nothing else is known."""
        try:
            services = frame.box.services()
        except SealedError:
            return _display({"sealed": True})
        visitor = wall_link.instead_of(services, request, session.current(services))
        if not wall_link.may_see(visitor):
            return frame.page("wall_closed.html")
        response = _display(describe_wall(frame.box, services))
        if visitor and visitor.principal.via == "wall":
            wall_link.begin(
                response, request.cookies[wall_link.cookie_name(request)]
            )  # a display that is on for years keeps its way in
        return response

    def _display(wall: dict[str, Any]) -> Response:
        language = frame.language()
        words = {key: locales.catalogue(language)[_WORDS + key] for key in _SPOKEN}
        return frame.page("wall.html", wall=wall, words=words)

    def opened() -> Response:
        """What the link brought behind its `#`, which browsers send nowhere by themselves, becomes a cookie."""
        services = frame.box.services()
        services.throttle.take(f"wall-from:{request.remote_addr}", _TRIES, _PER_S)
        secret = request.form.get("key", "")
        try:
            if not wall_link.is_secret(secret):
                raise NotSignedInError("wall link")
            link = services.wall_links.resolve(secret)
        except HakoError as error:
            return frame.page("wall_closed.html", status=error.status, refused=True)
        services.audit.record("anonymous", "wall-link-opened", link.name)
        response = go("/wall")
        wall_link.begin(response, secret)
        return response

    pages.add_url_rule("/wall", "view", routing.declare(view, routing.PUBLIC), methods=["GET"])
    pages.add_url_rule("/wall/open", "opened", routing.declare(opened, routing.PUBLIC), methods=["POST"])
    return pages
