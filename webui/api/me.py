"""`/me`: the person's own account and sessions, and what this box offers them."""

from typing import Any, Literal

from flask import Blueprint, Response, request

import appliance
from appliance.accounts.permissions import Permission
from appliance.clock import iso
from appliance.config import Settings
from webui import reauth, routing, session, shapes
from webui.routing import Call

api = Blueprint("me", __name__)

FORMATS = ("pdf", "docx", "md", "html", "txt", "csv")


class Change(shapes.Shape):
    """What a person may change of their own account."""

    display_name: shapes.Name | None = None
    language: Literal["ja", "en"] | None = None
    theme: Literal["system", "light", "dark"] | None = None


class NewPassword(shapes.Shape):
    """The old one proves that it isn't just somebody at an open browser."""

    current: shapes.Password
    new: shapes.Password


def describe_me(call: Call, settings: Settings) -> dict[str, Any]:
    """The person, what they may do, the box and its limits."""
    user = call.user
    return {
        "user": {
            "id": call.who.user_id,
            "name": call.who.name,
            "display_name": user.display_name if user else call.who.name,
            "role": call.who.role,
            "language": user.language if user else call.language,
            "theme": user.theme if user else "system",
        },
        "permissions": sorted(call.who.permissions),
        "box": {
            "name": settings.name,
            "organisation": settings.organisation,
            "version": appliance.__version__,
            "development": settings.development,
        },
        "limits": {"upload_mb": settings.limits.upload_mb, "formats": list(FORMATS)},
    }


@routing.route(api, "GET", "/me", permission=Permission.CHAT)
def show(call: Call) -> dict[str, Any]:
    return describe_me(call, routing.box().settings)


@routing.route(api, "PATCH", "/me", permission=Permission.OWN_ACCOUNT, body=Change)
def change(call: Call, wish: Change) -> Response:
    user = call.services.users.update(call.user_id, **wish.model_dump(exclude_none=True))
    changed = Call(call.services, call.who, user, session.language(routing.box().settings))
    response = routing.answer(describe_me(changed, routing.box().settings))
    if wish.language:
        session.remember_language(response, wish.language)
    return response


@routing.route(api, "POST", "/me/password", permission=Permission.OWN_ACCOUNT, body=NewPassword)
def change_password(call: Call, wish: NewPassword) -> Response:
    """Ends every session of the account and starts a new one here, so that a stolen one is worth nothing."""
    services, user = call.services, reauth.verified(call, wish.current)
    services.users.set_password(call.user_id, wish.new)
    services.sessions.end_all(call.user_id)
    services.audit.record(call.user_id, "password-changed", call.user_id)
    response = Response(status=204)
    session.begin(response, services.sessions.start(user, request.headers.get("User-Agent", "")[:200]))
    return response


@routing.route(api, "GET", "/me/sessions", permission=Permission.OWN_ACCOUNT)
def list_sessions(call: Call) -> dict[str, Any]:
    items = [
        {
            "id": known.id,
            "created_at": iso(known.created_at),
            "seen_at": iso(known.seen_at),
            "user_agent": known.user_agent,
            "current": known.id == call.who.session_id,
        }
        for known in call.services.sessions.list(call.user_id)
    ]
    return {"items": items}


@routing.route(api, "DELETE", "/me/sessions/<session_id>", permission=Permission.OWN_ACCOUNT)
def end_session(call: Call, session_id: str) -> None:
    call.services.sessions.end_one(call.user_id, session_id)
    call.services.audit.record(call.user_id, "session-ended", session_id)
