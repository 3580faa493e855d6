"""Responses that were kept: read, deleted, and gone on with, by the person to whom the key or the session belongs."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from flask import Blueprint
from pydantic import Field

from appliance.accounts.permissions import Permission
from appliance.apps.responses import Response
from appliance.errors import BadInputError, NotFoundError
from webui import routing, shapes
from webui.dialects.responses_items import Item
from webui.routing import Call

api = Blueprint("responses-state", __name__)


class Retrieval(shapes.Tolerant):
    """How a response is read."""

    stream: bool | None = None


class Page(shapes.Tolerant):
    """Which items of a list; newest first unless asked otherwise."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    after: str | None = None
    order: Literal["asc", "desc"] = "desc"


class Shelf:
    """Where the response of one request is kept, if it is.

    The admin socket has no account to keep it for; a key that may not read its owner's conversations adds none.
    """

    def __init__(self, call: Call, items: Sequence[Item], previous_id: str | None, store: bool | None) -> None:
        """`previous_id`: of the response that this one goes on with; `store`: None as good as True."""
        self._kept, self._items, self._previous = call.services.responses, items, previous_id
        may = Permission.CONVERSATIONS in call.who.permissions and store is not False
        self._owner = call.who.user_id if may else None

    @property
    def stores(self) -> bool:
        """Whether the response can be asked for later."""
        return self._owner is not None

    def keep(self, response: dict[str, Any]) -> None:
        """Keep the finished response."""
        if self._owner is not None:
            self._kept.put(self._owner, response["id"], self._previous, self._items, response)


def before(call: Call, response_id: str | None) -> list[tuple[Sequence[Item], Sequence[Item]]]:
    """Inputs and outputs of the conversation that a request goes on with; see `conversation`."""
    return [(response.input, response.answer["output"]) for response in conversation(call, response_id)]


def conversation(call: Call, response_id: str | None) -> Sequence[Response]:
    """The kept responses that a request goes on with, oldest first; none for no id.

    Raises:
        NotFoundError: a part of it is not there, or another person's.
        KeyScopeError, ForbiddenError: not for this key, or nobody's account.
    """
    if response_id is None:
        return []
    call.who.demand(Permission.CONVERSATIONS)
    try:
        return call.services.responses.conversation(call.user_id, response_id)
    except NotFoundError as error:
        raise NotFoundError(error.detail, field="previous_response_id") from None


@routing.route(api, "GET", "/responses/<response_id>", permission=Permission.CONVERSATIONS, query=Retrieval)
def retrieve(call: Call, query: Retrieval, response_id: str) -> dict[str, Any]:
    """A finished response has no stream any more."""
    found = call.services.responses.get(call.user_id, response_id)
    if query.stream:
        raise BadInputError("stream of a finished response", field="stream")
    return dict(found.answer)


@routing.route(api, "DELETE", "/responses/<response_id>", permission=Permission.CONVERSATIONS)
def delete(call: Call, response_id: str) -> dict[str, Any]:
    call.services.responses.delete(call.user_id, response_id)
    return {"id": response_id, "object": "response", "deleted": True}


@routing.route(api, "GET", "/responses/<response_id>/input_items", permission=Permission.CONVERSATIONS, query=Page)
def input_items(call: Call, query: Page, response_id: str) -> dict[str, Any]:
    items = list(call.services.responses.get(call.user_id, response_id).input)
    if query.order == "desc":
        items.reverse()
    if query.after is not None:
        places = [place for place, item in enumerate(items) if item["id"] == query.after]
        if not places:
            raise BadInputError("no such item", field="after")
        items = items[places[0] + 1 :]
    shown = items[: query.limit]
    ends = {"first_id": shown[0]["id"], "last_id": shown[-1]["id"]} if shown else {"first_id": "", "last_id": ""}
    return {"object": "list", "data": shown, **ends, "has_more": len(items) > len(shown)}


@routing.route(api, "POST", "/responses/<response_id>/cancel", permission=Permission.CONVERSATIONS)
def cancel(call: Call, response_id: str) -> None:
    """Raises BadInputError: only what is written in the background could be, and the box writes nothing there."""
    call.services.responses.get(call.user_id, response_id)
    raise BadInputError("not in the background", field="background")
