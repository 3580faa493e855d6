"""`/destinations`: other machines whose models the box may use, or that it tells what is wrong; for operators."""

from typing import Annotated, Any

from flask import Blueprint
from pydantic import Field, StringConstraints, ValidationError

from appliance.accounts.permissions import Permission
from appliance.clock import iso
from appliance.errors import BadInputError
from appliance.gateway import destinations
from appliance.gateway.destinations import Destination, DestinationKind, FarKind, FarModel
from webui import routing, shapes
from webui.routing import Call

api = Blueprint("destinations", __name__)


class OfferedModel(shapes.Shape):
    """A model under the name that it has there."""

    name: destinations.FarName
    kind: FarKind = "chat"
    context: Annotated[int, Field(ge=256, le=10_000_000)] = 4096


class NewDestination(shapes.Shape):
    """`private` and `open_gap` are said on purpose; `key` goes into the encrypted database and is never shown."""

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


@routing.route(api, "GET", "/destinations", permission=Permission.BOX_MANAGE)
def list_destinations(call: Call) -> dict[str, Any]:
    return {"items": [describe(call, each) for each in call.services.destinations.known().values()]}


@routing.route(api, "POST", "/destinations", permission=Permission.BOX_MANAGE, body=NewDestination, status=201)
def add(call: Call, wish: NewDestination) -> dict[str, Any]:
    """Recorded before it can be used."""
    destination = _destination(wish)
    services = call.services
    services.destinations.demand_free(destination.name, destination.kind)
    services.audit.record(
        call.who.name, "destination-added", destination.name, address=destination.address, port=destination.place.port
    )
    if wish.key is None:
        services.destination_keys.delete(destination.name)
    else:
        services.destination_keys.put(destination.name, wish.key)
    services.destinations.add(destination)
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
        "alerts": _alerts(call) if destination.kind == "alerts" else None,
    }


def _alerts(call: Call) -> dict[str, Any]:
    """How the last alert went. `result`: ok, or the code of what stood in the way; empty before the first one."""
    state = call.services.alerts.state()
    return {
        "at": None if state.last_at is None else iso(state.last_at),
        "result": state.last_result,
        "failing_since": None if state.failing_since is None else iso(state.failing_since),
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
