"""`/bases`: boxes of documents; whoever asks sees only what they may read."""

from typing import Any, Literal

from flask import Blueprint

from appliance.accounts.permissions import Permission, Principal
from appliance.knowledge.bases import Base
from webui import routing, shapes
from webui.routing import Call

api = Blueprint("bases", __name__)

Visibility = Literal["everyone", "private"]


class NewBase(shapes.Shape):
    """A new base belongs to who makes it."""

    name: shapes.Name
    description: shapes.ShortText = ""
    visibility: Visibility = "private"


class Change(shapes.Shape):
    """What the owner may change."""

    name: shapes.Name | None = None
    description: shapes.ShortText | None = None
    visibility: Visibility | None = None


def describe(base: Base, who: Principal) -> dict[str, Any]:
    """A base as this person sees it."""
    return {
        "id": base.id,
        "name": base.name,
        "description": base.description,
        "visibility": base.visibility,
        "mine": base.owner_id is not None and base.owner_id == who.user_id,
        "system": base.owner_id is None,
        "documents": base.documents,
        "passages": base.passages,
        "writable": base.writable_by(who),
        "manageable": base.manageable_by(who),
        "packed": base.packed,
    }


@routing.route(api, "GET", "/bases", permission=Permission.BASES_READ)
def list_bases(call: Call) -> dict[str, Any]:
    return {"items": [describe(base, call.who) for base in call.services.bases.readable(call.who)]}


@routing.route(api, "POST", "/bases", permission=Permission.BASES_WRITE, body=NewBase, status=201)
def create(call: Call, wish: NewBase) -> dict[str, Any]:
    base = call.services.bases.create(call.who, wish.name, wish.description, wish.visibility)
    return describe(base, call.who)


@routing.route(api, "GET", "/bases/<base_id>", permission=Permission.BASES_READ)
def show(call: Call, base_id: str) -> dict[str, Any]:
    return describe(call.services.bases.get(call.who, base_id), call.who)


@routing.route(api, "PATCH", "/bases/<base_id>", permission=Permission.BASES_WRITE, body=Change)
def change(call: Call, wish: Change, base_id: str) -> dict[str, Any]:
    base = call.services.bases.update(call.who, base_id, **wish.model_dump(exclude_none=True))
    return describe(base, call.who)


@routing.route(api, "DELETE", "/bases/<base_id>", permission=Permission.BASES_WRITE)
def delete(call: Call, base_id: str) -> None:
    """Erases the base with its documents; their keys are gone, so nothing of them can be read again."""
    call.services.bases.delete(call.who, base_id)
