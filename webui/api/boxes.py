"""`/bundles/boxes` and exports: what other boxes know this one by, which ones it trusts, and packs made for them."""

from functools import partial
from typing import Annotated, Any

from flask import Blueprint, Response
from pydantic import StringConstraints

from appliance.accounts.permissions import Permission
from appliance.bundle.boxes.sending import Content, Sendable
from appliance.bundle.boxes.trusted import TrustedBox
from appliance.clock import iso
from webui import reauth, routing, shapes
from webui.api.bundles import Password, Where, demand_terminal, place_of
from webui.api.documents import download
from webui.routing import Call

api = Blueprint("boxes", __name__)

Code = Annotated[str, StringConstraints(max_length=200)]


class TrustBox(Where):
    """The box that made this pack, by the fingerprint that its operator has told by another way."""

    fingerprint: Code
    password: Password = ""


class Export(shapes.Shape):
    """For the box with this receiving code. With `dry_run` it is only said what would leave."""

    receiver: Code
    licence: Annotated[str, StringConstraints(max_length=200)] = ""
    password: Password = ""
    dry_run: bool = False


@routing.route(api, "GET", "/bundles/boxes", permission=Permission.BUNDLES_TAKE)
def list_boxes(call: Call) -> dict[str, Any]:
    """What other boxes know this one by, and the boxes whose packs it takes."""
    own = call.services.bundles.identity
    return {
        "own": {
            "name": call.services.settings.name,
            "fingerprint": own.fingerprint,
            "receiving_code": own.code,
        },
        "items": [_box(box) for box in call.services.bundles.boxes.all()],
    }


@routing.route(api, "PUT", "/bundles/boxes", permission=Permission.BUNDLES_TAKE, body=TrustBox)
def trust(call: Call, wish: TrustBox) -> dict[str, Any]:
    """Take packs of the box that made this one from now on."""
    demand_terminal(call, wish)
    reauth.demand(call, wish.password)
    with routing.place(call):
        box = call.services.bundles.trust_box(place_of(call, wish), wish.fingerprint, call.who.name)
    return {"box": _box(box)}


@routing.route(api, "DELETE", "/bundles/boxes/<digest>", permission=Permission.BUNDLES_TAKE)
def distrust(call: Call, digest: str) -> None:
    """Take no more packs of the box with this fingerprint. Bases that came from it stay."""
    call.services.bundles.distrust_box(digest, call.who.name)


@routing.route(api, "POST", "/bases/<base_id>/export", permission=Permission.BASES_READ, body=Export, status=201)
def export(call: Call, wish: Export, base_id: str) -> dict[str, Any]:
    """A pack of the documents that were read, to be fetched once within ten minutes by who asked for it."""
    content = _content(call, base_id, wish.licence)
    call.who.demand(Permission.BUNDLES_TAKE)  # after the look, so that nobody learns which bases there are
    sending = call.services.bundles.sending
    plan = {"name": content.title, "documents": len(content.documents), "size_bytes": content.size}
    if wish.dry_run:
        receiver = sending.demand_possible(content, wish.receiver)
        return {"plan": plan, "receiver": receiver.hex(), "export": None}
    reauth.demand(call, wish.password)
    ready = sending.prepare(content, wish.receiver, call.who.name)
    return {"plan": plan, "receiver": ready.receiver.hex(), "export": ready.id}


@routing.route(api, "GET", "/bundles/exports/<export_id>", permission=Permission.BUNDLES_TAKE)
def fetch(call: Call, export_id: str) -> Response:
    """The pack, as a file to be saved; made and sealed on the way, so nothing of it lies on the disk."""
    name, pieces = call.services.bundles.sending.fetch(export_id, call.who.name)
    return download(pieces, name)


def _content(call: Call, base_id: str, licence: str) -> Content:
    """Raises NotFoundError: not a base that this person may read."""
    services, who = call.services, call.who
    base = services.bases.get(who, base_id)
    packed = next((pack for pack in services.packs.list() if pack.base_id == base.id), None) if base.packed else None
    documents = [one for one in services.documents.list(who, base.id) if one.state == "ready"]
    return Content(
        base_id=base.id,
        title=base.name,
        description=base.description,
        licence=licence or (packed.licence if packed else ""),
        provenance={"source": packed.provenance.get("source", packed.name)} if packed else {},
        documents=[
            Sendable(one.name, one.size, partial(_original, call, one.id))
            for one in sorted(documents, key=lambda one: one.name)
        ],
    )


def _original(call: Call, document_id: str) -> Any:
    _document, chunks = call.services.documents.original(call.who, document_id)
    return chunks


def _box(box: TrustedBox) -> dict[str, Any]:
    return {
        "fingerprint": box.fingerprint,
        "name": box.name,
        "set_by": box.set_by,
        "set_at": iso(box.set_at),
    }
