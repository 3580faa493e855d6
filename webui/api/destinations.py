"""`/destinations`: other machines whose models the box may use, or that it tells what is wrong; for operators."""

from typing import Annotated, Any

from flask import Blueprint
from pydantic import Field, StringConstraints, ValidationError

from appliance.accounts.permissions import Permission
from appliance.clock import iso
from appliance.errors import BadInputError
from appliance.gateway import destinations
from appliance.gateway.destinations import Destination, DestinationKind, FarKind, FarModel
from webui import reauth, routing, shapes
from webui.api.runs import with_title
from webui.routing import Call

api = Blueprint("destinations", __name__)


class OfferedModel(shapes.Shape):
    """A model under the name that it has there."""

    name: destinations.FarName
    kind: FarKind = "chat"
    context: Annotated[int, Field(ge=256, le=10_000_000)] = 4096


class NewDestination(shapes.Shape):
    """`private` and `open_gap` are said on purpose; `key` goes into the encrypted database and is never shown.

    `password`: one's own once more; not asked for on the admin socket.
    """

    name: destinations.Name
    kind: DestinationKind = "models"
    url: Annotated[str, StringConstraints(min_length=1, max_length=300)]
    address: Annotated[str, StringConstraints(min_length=2, max_length=60)] | None = None
    private: bool = False
    open_gap: bool = False
    ca: Annotated[str, StringConstraints(max_length=100_000)] = ""
    fingerprint: Annotated[str, StringConstraints(max_length=100)] = ""
    key: Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,1000}$")] | None = None
    at_once: Annotated[int, Field(ge=1, le=256)] = 8
    models: Annotated[tuple[OfferedModel, ...], Field(max_length=100)] = ()
    password: Annotated[str, StringConstraints(max_length=1024)] = ""


@routing.route(api, "GET", "/destinations", permission=Permission.BOX_MANAGE)
def list_destinations(call: Call) -> dict[str, Any]:
    return {"items": [describe(call, each) for each in call.services.destinations.known().values()]}


@routing.route(api, "POST", "/destinations", permission=Permission.BOX_MANAGE, body=NewDestination, status=201)
def add(call: Call, wish: NewDestination) -> dict[str, Any]:
    """Recorded before it can be used."""
    destination = _destination(wish)
    services = call.services
    services.destinations.demand_free(destination.name, destination.kind)
    reauth.demand(call, wish.password)
    services.audit.record(
        call.who.name, "destination-added", destination.name, address=destination.address, port=destination.place.port
    )
    if wish.key is None:
        services.destination_keys.delete(destination.name)
    else:
        services.destination_keys.put(destination.name, wish.key)
    services.destinations.add(destination)
    if destination.kind == "alerts":
        services.alerts.begin(destination)
    return describe(call, destination)


@routing.route(api, "PUT", "/destinations/<name>", permission=Permission.BOX_MANAGE, body=NewDestination)
def change(call: Call, wish: NewDestination, name: str) -> dict[str, Any]:
    """Tell alerts to another place. Secret and authority stay where the body has no `key` and no `ca`.

    One for models is removed and named anew, since aliases and running answers hang on it.
    """
    destination, services = _destination(wish), call.services
    before = services.destinations.get(name)
    if destination.name != name or {destination.kind, before.kind} != {"alerts"}:
        raise BadInputError("another destination", field="name")
    reauth.demand(call, wish.password)
    services.audit.record(
        call.who.name, "destination-changed", name, address=destination.address, port=destination.place.port
    )
    if wish.key is not None:
        services.destination_keys.put(name, wish.key)
    elif "key" in wish.model_fields_set:
        services.destination_keys.delete(name)
    if "ca" not in wish.model_fields_set and destination.place.tls:
        destination = destination.model_copy(update={"ca": before.ca})
    services.destinations.change(destination)
    if (before.url, before.address) != (destination.url, destination.address):
        services.alerts.begin(destination)
    return describe(call, destination)


@routing.route(api, "POST", "/destinations/<name>/test", permission=Permission.BOX_MANAGE)
def test(call: Call, name: str) -> dict[str, Any]:
    """Ask the machine which models it has, or send it a test alert."""
    if call.services.destinations.get(name).kind == "alerts":
        with routing.place(call):
            call.services.alerts.test(name, call.who.name)
        return {"models": []}
    remote = call.services.gateway.remote
    found = remote.offered(name, call.who.name) if remote else []
    return {"models": found}


@routing.route(api, "DELETE", "/destinations/<name>", permission=Permission.BOX_MANAGE)
def remove(call: Call, name: str) -> None:
    """Its running answers are cut."""
    gone = call.services.destinations.remove(name)
    call.services.destination_keys.delete(name)
    for model in gone.models:
        call.services.gateway.aliases.drop(f"{name}/{model.name}")
    call.services.audit.record(call.who.name, "destination-removed", name)


def describe(call: Call, destination: Destination) -> dict[str, Any]:
    """A destination; of its key only whether there is one."""
    return {
        **destination.model_dump(exclude={"ca"}),
        "own_ca": bool(destination.ca),
        "has_key": call.services.destination_keys.key(destination.name) is not None,
        "models": [model.model_dump() for model in destination.models],
        "alerts": _alerts(call, destination.name) if destination.kind == "alerts" else None,
    }


def _alerts(call: Call, name: str) -> dict[str, Any]:
    """How the last alert went. `result`: ok, or the code of what stood in the way; empty before the first one.

    `taken`: what the receiver has taken last, of many the first few; `failed`: what stood in the way last.
    """
    state = call.services.alerts.state()
    failed = with_title({"code": state.failed, "params": {"name": name}}, call.language) if state.failed else {}
    return {
        "at": None if state.last_at is None else iso(state.last_at),
        "result": state.last_result,
        "failing_since": None if state.failing_since is None else iso(state.failing_since),
        "next_at": iso(state.next_at) if state.failing_since is not None else None,
        "taken": None
        if state.taken_at is None
        else {"at": iso(state.taken_at), "count": state.taken_count, "changes": state.taken},
        "failed": None if state.failed_at is None else {"at": iso(state.failed_at), **failed},
    }


def _destination(wish: NewDestination) -> Destination:
    try:
        return Destination(
            name=wish.name,
            kind=wish.kind,
            url=wish.url,
            address=destinations.pinned(wish.url, wish.address),
            private=wish.private,
            open_gap=wish.open_gap,
            ca=wish.ca,
            fingerprint=destinations.plain_fingerprint(wish.fingerprint),
            at_once=wish.at_once,
            models=tuple(FarModel(**model.model_dump()) for model in wish.models),
        )
    except ValidationError as error:
        raise BadInputError("destination", field="destination") from error
