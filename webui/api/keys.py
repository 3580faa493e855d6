"""`/me/keys`: a person's API keys, made, listed, given another name or scope, revoked; never by a key."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from flask import Blueprint
from pydantic import AwareDatetime, Field

from appliance import clock
from appliance.accounts.api_keys import ApiKey
from appliance.accounts.permissions import Permission
from appliance.accounts.scopes import WHOLE, Dialect, ModelRights, Scope
from appliance.apps.conversations import demand_readable
from appliance.clock import iso
from appliance.errors import BadInputError
from webui import routing, shapes
from webui.routing import Call

api = Blueprint("keys", __name__)

_MOST: Final = 200
_FIRST, _LAST = datetime(1970, 1, 2, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


class KeyScope(shapes.Shape):
    """What the key is good for. Lists: empty for all; figures and times: null for no limit."""

    models: Annotated[tuple[shapes.ModelId, ...], Field(max_length=_MOST)] = ()
    dialects: Annotated[tuple[Dialect, ...], Field(max_length=_MOST)] = ()
    base_ids: Annotated[tuple[shapes.Identifier, ...], Field(max_length=_MOST)] = ()
    may_write: bool = True
    model_rights: ModelRights = "none"
    only_metrics: bool = False
    requests_per_minute: Annotated[int, Field(ge=1, le=100_000)] | None = None
    expires_at: Annotated[AwareDatetime, Field(ge=_FIRST, le=_LAST)] | None = None


class NewKey(shapes.Shape):
    """What the key is for, in the owner's words, and what it may do."""

    name: shapes.Name
    scope: KeyScope = KeyScope()


class Change(shapes.Shape):
    """Of the scope, what isn't given stays."""

    name: shapes.Name | None = None
    scope: KeyScope | None = None


@routing.route(api, "GET", "/me/keys", permission=Permission.OWN_ACCOUNT)
def list_keys(call: Call) -> dict[str, Any]:
    return {"items": [describe(key) for key in call.services.api_keys.list(call.user_id)]}


@routing.route(api, "POST", "/me/keys", permission=Permission.OWN_ACCOUNT, body=NewKey, status=201)
def create(call: Call, wish: NewKey) -> dict[str, Any]:
    """The only answer that ever holds the key itself."""
    scope = _scope(call, wish.scope, WHOLE)
    if scope.expires_at is not None and scope.expires_at <= clock.now():
        raise BadInputError("born dead", field="scope.expires_at")
    key, secret = call.services.api_keys.create(call.user_id, wish.name, scope)
    call.services.audit.record(call.user_id, "api-key-created", key.id)
    return {"key": secret, "item": describe(key)}


@routing.route(api, "PATCH", "/me/keys/<key_id>", permission=Permission.OWN_ACCOUNT, body=Change)
def change(call: Call, wish: Change, key_id: str) -> dict[str, Any]:
    keys = call.services.api_keys
    known = keys.get(call.user_id, key_id)
    scope = None if wish.scope is None else _scope(call, wish.scope, known.scope)
    changed = keys.update(call.user_id, key_id, name=wish.name, scope=scope)
    call.services.audit.record(call.user_id, "api-key-changed", key_id)
    return describe(changed)


@routing.route(api, "DELETE", "/me/keys/<key_id>", permission=Permission.OWN_ACCOUNT)
def revoke(call: Call, key_id: str) -> None:
    call.services.api_keys.revoke(call.user_id, key_id)
    call.services.audit.record(call.user_id, "api-key-revoked", key_id)


def describe(key: ApiKey) -> dict[str, Any]:
    """A key as its owner sees it."""
    scope = key.scope
    return {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "created_at": iso(key.created_at),
        "used_at": None if key.used_at is None else iso(key.used_at),
        "scope": {
            "models": sorted(scope.models),
            "dialects": sorted(scope.dialects),
            "base_ids": sorted(scope.base_ids),
            "may_write": scope.may_write,
            "model_rights": scope.model_rights,
            "only_metrics": scope.only_metrics,
            "requests_per_minute": scope.requests_per_minute,
            "expires_at": None if scope.expires_at is None else iso(scope.expires_at),
        },
    }


def _scope(call: Call, wish: KeyScope, old: Scope) -> Scope:
    """`old` with what was given; what it named already may be gone from the box by now.

    Raises:
        ModelNotFoundError, NotFoundError: a model or a base that isn't there for the owner.
        ForbiddenError: rights over models or metrics, wished for by somebody who has none.
    """
    given: dict[str, Any] = {name: getattr(wish, name) for name in wish.model_fields_set}
    if given.get("model_rights", "none") != "none":
        call.who.demand(Permission.MODELS_MANAGE)
    if given.get("only_metrics"):
        call.who.demand(Permission.METRICS_READ)
    if "models" in given:
        given["models"] = frozenset(
            name if name in old.models else call.gateway.model(name).id for name in given["models"]
        )
    if "base_ids" in given:
        given["base_ids"] = frozenset(given["base_ids"])
        demand_readable(call.services.bases, call.who, given["base_ids"] - old.base_ids)
    if "dialects" in given:
        given["dialects"] = frozenset(given["dialects"])
    if given.get("expires_at") is not None:
        given["expires_at"] = given["expires_at"].timestamp()
    return replace(old, **given)
