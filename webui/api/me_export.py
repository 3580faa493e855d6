"""`/me/export`: everything of one's own as one archive, for who has given the password once more."""

from typing import Any

from flask import Blueprint, Response

from appliance.accounts.permissions import Permission
from webui import archive, reauth, routing, shapes
from webui.api import me_files
from webui.api.documents import download
from webui.routing import Call

api = Blueprint("me_export", __name__)


class Wish(shapes.Shape):
    """The password proves that it isn't just somebody at an open browser."""

    password: shapes.Password


@routing.route(api, "POST", "/me/export", permission=Permission.OWN_ACCOUNT, body=Wish, status=201)
def prepare(call: Call, wish: Wish) -> dict[str, Any]:
    """A ticket that fetches the archive once, in this session and within two minutes."""
    reauth.verified(call, wish.password)
    return {"ticket": routing.box().tickets.give(call.who.session_id or "")}


@routing.route(api, "GET", "/me/export/<ticket>", permission=Permission.OWN_ACCOUNT)
def fetch(call: Call, ticket: str) -> Response:
    """The archive, made while it is sent; it is on no disk."""
    person = call.user_id
    place = routing.place(call)
    try:
        routing.box().tickets.take(call.who.session_id, ticket)
        call.services.audit.record(person, "account-exported", person)
        return download(archive.stream(me_files.files(call)), me_files.filename(call), then=place.close)
    except BaseException:
        place.close()
        raise
