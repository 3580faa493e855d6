"""`/machine`: the computer that the box runs on: network, name, time, certificate, restart, factory reset."""

import zoneinfo
from dataclasses import asdict
from typing import Annotated, Any

from flask import Blueprint, request
from pydantic import Field, StringConstraints, ValidationError

from appliance.accounts.permissions import Permission
from appliance.clock import iso, now
from appliance.errors import BadInputError, ForbiddenError, WrongBoxNameError
from appliance.machine import machine_shapes
from appliance.machine.own import OwnMachine, Seen
from appliance.vault.certificates import Certificate
from webui import connection, reauth, routing, shapes
from webui.routing import Call

api = Blueprint("machine", __name__)

Password = Annotated[str, StringConstraints(max_length=1024)]
Address = Annotated[str, StringConstraints(max_length=64)]


class Confirmed(shapes.Shape):
    """The password of who asks, once more."""

    password: Password = ""


class NetworkWish(Confirmed):
    """How one card gets its address; without `dhcp`, `address` as 10.0.0.7/24."""

    interface: Annotated[str, StringConstraints(max_length=16)]
    dhcp: bool
    address: Address | None = None
    gateway: Address | None = None
    dns: Annotated[tuple[Address, ...], Field(max_length=3)] = ()
    mdns: bool = True


class NameWish(Confirmed):
    """One word of small letters, digits and hyphens."""

    name: machine_shapes.HostName


class ZoneWish(Confirmed):
    """As Asia/Tokyo."""

    zone: machine_shapes.Zone


class ClockWish(Confirmed):
    """Seconds since the epoch."""

    at: int


class CertificateWish(Confirmed):
    """PEM, the certificate first and its chain behind it; the key without a passphrase."""

    certificate: Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
    key: Annotated[str, StringConstraints(min_length=1, max_length=8_000)]


class WayOut(shapes.Shape):
    """What root has done at the machine."""

    open: bool


class Erasure(Confirmed):
    """`name`: of the machine, typed by hand."""

    name: Annotated[str, StringConstraints(max_length=64)]


@routing.route(api, "GET", "/machine", permission=Permission.BOX_MANAGE)
def show(_call: Call) -> dict[str, Any]:
    """`is_ours`: whether the box may change it. Without a helper it is what any program of the machine sees."""
    machine = _machine()
    certificate = machine.certificate()
    return {
        **_described(machine.look()),
        "now": iso(now()),
        "certificate": _certificate(certificate) if certificate else None,
        "own_authority": machine.authority() is not None,
    }


@routing.route(api, "GET", "/machine/zones", permission=Permission.BOX_MANAGE)
def zones(_call: Call) -> dict[str, Any]:
    """Time zones that can be chosen."""
    return {"items": sorted(zone for zone in zoneinfo.available_timezones() if "/" in zone or zone == "UTC")}


@routing.route(api, "PUT", "/machine/network", permission=Permission.BOX_MANAGE, body=NetworkWish, status=202)
def try_network(call: Call, wish: NetworkWish) -> dict[str, Any]:
    """In force at once, and taken back after `trial_s` unless it is kept by who comes in by it.

    `word` goes with `/keep-network?word=…`, which needs no signing in: at a new address nobody is signed in.
    """
    network = network_of(wish.model_dump(exclude={"password"}))
    reauth.demand(call, wish.password)
    address = str(network.address) if network.address else "DHCP"
    call.services.audit.record(call.who.name, "network-tried", card=network.interface, address=address)
    trial_s, word = _machine().try_network(network, call.who.name)
    return {"trial_s": trial_s, "address": address.partition("/")[0] if network.address else "", "word": word}


@routing.route(api, "POST", "/machine/network/keep", permission=Permission.BOX_MANAGE)
def keep_network(call: Call) -> None:
    """Counts only where it comes in by the network on trial."""
    _machine().keep_network(connection.arrived(request.environ))
    call.services.audit.record(call.who.name, "network-kept")


@routing.route(api, "POST", "/machine/network/drop", permission=Permission.BOX_MANAGE)
def drop_network(call: Call) -> None:
    """Back to the network before, without waiting."""
    _machine().drop_network()
    call.services.audit.record(call.who.name, "network-taken-back")


@routing.route(api, "PUT", "/machine/name", permission=Permission.BOX_MANAGE, body=NameWish)
def rename(call: Call, wish: NameWish) -> None:
    """The machine is found as `name.local` from now on, where mDNS is on."""
    reauth.demand(call, wish.password)
    _machine().rename(wish.name)
    call.services.audit.record(call.who.name, "machine-renamed", host=wish.name)


@routing.route(api, "PUT", "/machine/zone", permission=Permission.BOX_MANAGE, body=ZoneWish)
def set_zone(call: Call, wish: ZoneWish) -> None:
    """Of the clock by which backups are made, and of the logs."""
    reauth.demand(call, wish.password)
    _machine().set_zone(wish.zone)
    call.services.audit.record(call.who.name, "time-zone-set", zone=wish.zone)


@routing.route(api, "PUT", "/machine/clock", permission=Permission.BOX_MANAGE, body=ClockWish)
def set_clock(call: Call, wish: ClockWish) -> None:
    """Recorded before and after: the record of actions goes by this clock."""
    reauth.demand(call, wish.password)
    call.services.audit.record(call.who.name, "clock-set", at=iso(wish.at))
    _machine().set_clock(wish.at)


@routing.route(api, "PUT", "/machine/certificate", permission=Permission.BOX_MANAGE, body=CertificateWish)
def bring_certificate(call: Call, wish: CertificateWish) -> None:
    """Used from the next connection on; refused where browsers would refuse it."""
    reauth.demand(call, wish.password)
    _machine().bring_certificate(wish.certificate, wish.key)
    call.services.audit.record(call.who.name, "certificate-brought")


@routing.route(api, "POST", "/machine/certificate/own", permission=Permission.BOX_MANAGE, body=Confirmed)
def drop_certificate(call: Call, wish: Confirmed) -> None:
    """Back to the one by the machine's own authority."""
    reauth.demand(call, wish.password)
    _machine().drop_certificate()
    call.services.audit.record(call.who.name, "certificate-dropped")


@routing.route(api, "POST", "/machine/restart", permission=Permission.BOX_MANAGE, body=Confirmed, status=202)
def restart(call: Call, wish: Confirmed) -> dict[str, Any]:
    """The vault is sealed afterwards, but where a TPM opens it."""
    reauth.demand(call, wish.password)
    call.services.audit.record(call.who.name, "machine-restarted")
    _machine().restart()
    return {}


@routing.route(api, "POST", "/machine/power-off", permission=Permission.BOX_MANAGE, body=Confirmed, status=202)
def switch_off(call: Call, wish: Confirmed) -> dict[str, Any]:
    """Only somebody at the machine can switch it on again."""
    reauth.demand(call, wish.password)
    call.services.audit.record(call.who.name, "machine-switched-off")
    _machine().switch_off()
    return {}


@routing.route(api, "POST", "/machine/way-out", permission=Permission.BOX_MANAGE, body=WayOut)
def note_way_out(call: Call, wish: WayOut) -> None:
    """Only record it: no session opens or shuts it."""
    if call.who.via != "socket":
        raise ForbiddenError("the way out is told by who works at the machine")
    call.services.audit.record(call.who.name, "way-out-opened" if wish.open else "way-out-shut")


@routing.route(api, "POST", "/machine/erase", permission=Permission.BOX_MANAGE, body=Erasure, status=202)
def erase(call: Call, wish: Erasure) -> dict[str, Any]:
    """Factory reset: the keys of all that is stored are destroyed. There is no way back."""
    reauth.demand(call, wish.password)
    machine = _machine()
    name = machine.look().name
    if wish.name.strip().lower() != name.lower():
        raise WrongBoxNameError(name=name)
    call.services.audit.record(call.who.name, "box-erased")
    machine.erase()
    return {}


def network_of(values: dict[str, Any]) -> machine_shapes.Network:
    """A network as it was typed.

    Raises:
        BadInputError: `field` doesn't fit; `address` where the fields don't fit together.
    """
    try:
        network = machine_shapes.Network.model_validate(values, strict=False)
    except ValidationError as error:
        place = error.errors(include_url=False, include_input=False)[0]["loc"]
        raise BadInputError("network", field=str(place[0]) if place else "address") from None
    return network


def _machine() -> OwnMachine:
    return routing.box().machine


def _described(seen: Seen) -> dict[str, Any]:
    return asdict(seen)


def _certificate(certificate: Certificate) -> dict[str, Any]:
    return {**asdict(certificate), "since": iso(certificate.since), "until": iso(certificate.until)}
