"""`/users`: the people of the box, for its operators."""

from typing import Any, Literal

from flask import Blueprint

from appliance.accounts.permissions import Permission
from appliance.accounts.users import User
from appliance.clock import iso
from webui import routing, shapes
from webui.routing import Call

api = Blueprint("users", __name__)

Role = Literal["operator", "member"]


class NewUser(shapes.Shape):
    """A second person. The password is a first one; its owner changes it under `/me`."""

    name: shapes.UserName
    display_name: shapes.Name
    role: Role = "member"
    password: shapes.Password
    language: Literal["ja", "en"] = "ja"


class Change(shapes.Shape):
    """What an operator may change of somebody's account."""

    display_name: shapes.Name | None = None
    role: Role | None = None
    disabled: bool | None = None


class NewPassword(shapes.Shape):
    """For somebody who has forgotten theirs."""

    password: shapes.Password


def describe(user: User) -> dict[str, Any]:
    """An account without anything secret."""
    return {
        "id": user.id,
        "name": user.name,
        "display_name": user.display_name,
        "role": user.role,
        "language": user.language,
        "disabled": user.disabled,
        "created_at": iso(user.created_at),
    }


@routing.route(api, "GET", "/users", permission=Permission.USERS_MANAGE)
def list_users(call: Call) -> dict[str, Any]:
    return {"items": [describe(user) for user in call.services.users.list()]}


@routing.route(api, "POST", "/users", permission=Permission.USERS_MANAGE, body=NewUser, status=201)
def create(call: Call, wish: NewUser) -> dict[str, Any]:
    user = call.services.users.create(wish.name, wish.display_name, wish.role, wish.password, wish.language)
    call.services.audit.record(call.who.name, "user-created", user.id, role=user.role)
    return describe(user)


@routing.route(api, "PATCH", "/users/<user_id>", permission=Permission.USERS_MANAGE, body=Change)
def change(call: Call, wish: Change, user_id: str) -> dict[str, Any]:
    """Ends the person's sessions when their rights change, so that none keeps what was taken."""
    user = call.services.users.get(user_id)
    if wish.disabled is not None:  # first: when it is refused for the last operator, nothing was changed
        user = call.services.users.disable(user_id, disabled=wish.disabled)
    details = wish.model_dump(include={"display_name", "role"}, exclude_none=True)
    if details:
        user = call.services.users.update(user_id, **details)
    if wish.disabled or wish.role is not None:
        call.services.sessions.end_all(user_id)
    if wish.disabled:
        call.services.runs.stop_all(user_id)
    call.services.audit.record(call.who.name, "user-changed", user_id, fields=",".join(sorted(wish.model_fields_set)))
    return describe(user)


@routing.route(api, "POST", "/users/<user_id>/password", permission=Permission.USERS_MANAGE, body=NewPassword)
def reset_password(call: Call, wish: NewPassword, user_id: str) -> None:
    call.services.users.get(user_id)
    call.services.users.set_password(user_id, wish.password)
    call.services.sessions.end_all(user_id)
    call.services.audit.record(call.who.name, "password-reset", user_id)


@routing.route(api, "DELETE", "/users/<user_id>", permission=Permission.USERS_MANAGE)
def delete(call: Call, user_id: str) -> None:
    """Erases the account with its chats and private bases.

    Disabled first: that is refused for the last operator while everything is still there, and then the person
    can't add anything to what is being erased.
    """
    call.services.users.disable(user_id, disabled=True)
    call.services.sessions.end_all(user_id)
    call.services.runs.stop_all(user_id)
    call.services.bases.release(user_id)
    call.services.users.delete(user_id)
    call.services.audit.record(call.who.name, "user-deleted", user_id)
