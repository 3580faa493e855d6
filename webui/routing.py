"""One decorator for every route: it declares the permission, checks it, reads the body, shapes the answer."""

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final, cast

from flask import Blueprint, Response, current_app, request
from pydantic import BaseModel

from appliance.accounts.permissions import Permission, Principal
from appliance.accounts.users import User
from appliance.bundle.update.updates import PROBE
from appliance.errors import ForbiddenError, NotSignedInError, UpdateTrialError
from appliance.gateway.gateway import Gateway
from appliance.services import Services
from appliance.storage import audit_origin
from webui import connection, key_limits, security, session, shapes, wall_link
from webui.box import Box
from webui.locales import Language
from webui.sse import Place


@dataclass(frozen=True)
class Public:
    """Declared instead of a permission: anyone may ask, also while nobody is signed in."""


PUBLIC: Final = Public()
_TRIAL_RETRY_S: Final = 20
Demand = Permission | Public


@dataclass(frozen=True)
class Declaration:
    """What a route of an API says of itself; pages have none."""

    permission: Demand
    body: type[BaseModel] | None
    query: type[BaseModel] | None


@dataclass(frozen=True)
class Call:
    """One request of a known person."""

    services: Services
    who: Principal
    user: User | None
    language: Language

    @property
    def gateway(self) -> Gateway:
        """The models that this person or program may use, in its own turn."""
        return self.services.gateway.acting_for(self.asker, self.who.may_use_model, self.client)

    @property
    def asker(self) -> str:
        """Whose turn this request waits in."""
        return self.who.user_id or self.who.name

    @property
    def client(self) -> str:
        """Which of that one's clients asks: a key's id, or empty for their browsers."""
        return self.who.key_id or ""

    @property
    def user_id(self) -> str:
        """The person's id, for what belongs to a person.

        Raises:
            ForbiddenError: the operator of the admin socket, who is nobody's account.
        """
        if self.who.user_id is None:
            raise ForbiddenError("the admin socket has no account")
        return self.who.user_id


def box() -> Box:
    """The box of the application that handles this request."""
    return cast("Box", current_app.extensions["hako"])


def route(
    blueprint: Blueprint,
    method: str,
    path: str,
    *,
    permission: Demand,
    body: type[BaseModel] | None = None,
    query: type[BaseModel] | None = None,
    status: int = 200,
) -> Callable[[Callable[..., Any]], Callable[..., Response]]:
    """Register a view `view(call, [body,] [query,] **path)`; a PUBLIC one gets no call.

    The view returns JSON-able content, a `(content, status)` pair, a pydantic model, a Response or None (204).
    """

    def register(view: Callable[..., Any]) -> Callable[..., Response]:
        @wraps(view)
        def handle(**arguments: Any) -> Response:
            given: list[Any] = []
            if isinstance(permission, Permission):
                given.append(_authorised(permission))
            if body is not None:
                with _room_to_read(given[0].who if given else None):
                    given.append(shapes.read_body(request, body))
            if query is not None:
                given.append(shapes.read_query(request, query))
            return answer(view(*given, **arguments), status)

        handle.permission = permission  # type: ignore[attr-defined]
        handle.declaration = Declaration(permission, body, query)  # type: ignore[attr-defined]
        endpoint = f"{method}_{path}".replace("/", "_").replace(".", "_")
        blueprint.add_url_rule(path, endpoint=endpoint, view_func=handle, methods=[method])
        return handle

    return register


def declare(view: Callable[..., Response], permission: Demand) -> Callable[..., Response]:
    """Mark a view that is registered by hand, e.g. a page, with its permission."""

    @wraps(view)
    def handle(**arguments: Any) -> Response:  # a bound method can't carry an attribute of its own
        return view(**arguments)

    handle.permission = permission  # type: ignore[attr-defined]
    return handle


def declared(view: Callable[..., Any]) -> Demand | None:
    """The permission that a view was registered with; a test demands one of every view."""
    return getattr(view, "permission", None)


def place(call: Call) -> Place:
    """A place for what may hold this request's thread for long; to be closed.

    Raises:
        BusyError: all are taken, or this person or key holds a fair share already.
    """
    return box().places.take(call.asker, call.client)


def place_to_read(who: Principal) -> Place:
    """A place for reading a large body, which takes as long as its sender likes. Raises BusyError."""
    return box().readers.take(who.user_id or who.name)


def _room_to_read(who: Principal | None) -> AbstractContextManager[object]:
    """Small bodies are there already when a request begins; see `processes.server`."""
    if who is None:
        security.check_small(request)
        return nullcontext()
    length = request.content_length
    if length is not None and length <= security.SMALL_BODY:
        return nullcontext()
    return place_to_read(who)


def body_of(view: Callable[..., Any]) -> type[BaseModel] | None:
    """The body that a view takes; a test sends each of them another person's ids."""
    said = declaration_of(view)
    return said.body if said else None


def declaration_of(view: Callable[..., Any]) -> Declaration | None:
    """What a view was registered with under `@route`; None for a page."""
    return getattr(view, "declaration", None)


def _authorised(permission: Permission) -> Call:
    services = box().services()
    visitor = session.current(services)
    if permission is Permission.WALL_SEE:
        visitor = wall_link.instead_of(services, request, visitor)
    if visitor is None:
        raise NotSignedInError
    if visitor.principal.via == "key":
        audit_origin.note("program", connection.address(request.environ))
    key_limits.check(services.throttle, visitor.principal)
    visitor.principal.demand(permission)
    if permission is not Permission.BUNDLES_TAKE:
        demand_settled(visitor.principal)
    revoked, stopping = session.revoked(services), box().stopping
    connection.ends_with(request.environ, lambda: stopping.is_set() or revoked())
    return Call(services, visitor.principal, visitor.user, session.language(box().settings))


def demand_settled(who: Principal) -> None:
    """While a release is on trial nothing is written for people: it might be taken back, and that with it.

    Raises:
        UpdateTrialError: but for the box's own look at it.
    """
    if who.via != "socket" and who.name != PROBE and box().is_trial:
        raise UpdateTrialError(retry_after_s=_TRIAL_RETRY_S)


def answer(content: Any, status: int = 200) -> Response:
    """A view's return value as a response."""
    if isinstance(content, tuple):
        content, status = content
    if isinstance(content, Response):
        return content
    if content is None:
        return Response(status=204)
    if isinstance(content, BaseModel):
        return Response(content.model_dump_json(), status, content_type="application/json")
    return Response(_dump(content), status, content_type="application/json")


def _dump(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
