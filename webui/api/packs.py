"""`/bundles/packs`: bases that came in bundles, how far each has been read, and removing one."""

from typing import Any

from flask import Blueprint

from appliance.accounts.permissions import Permission
from appliance.clock import iso
from appliance.knowledge.packs_shown import Pack
from webui import routing
from webui.api.runs import with_title
from webui.routing import Call

api = Blueprint("packs", __name__)


@routing.route(api, "GET", "/bundles/packs", permission=Permission.BUNDLES_TAKE)
def list_packs(call: Call) -> dict[str, Any]:
    """Every version that is here, newest first; one that is being read is not seen by anybody else yet."""
    return {"items": [_pack(call, pack) for pack in call.services.packs.list()]}


@routing.route(api, "DELETE", "/bundles/packs/<pack_id>", permission=Permission.BUNDLES_TAKE)
def remove(call: Call, pack_id: str) -> None:
    """Give up a version that is on its way, or erase a base with its documents."""
    call.services.packs.remove(pack_id, call.who.name)


def _pack(call: Call, pack: Pack) -> dict[str, Any]:
    failures = [
        {
            "document_id": failure.document_id,
            "name": failure.name,
            "error": with_title({"code": failure.code, "params": failure.params}, call.language),
        }
        for failure in pack.failures
    ]
    return {
        "id": pack.base_id,
        "replaces": pack.replaces,
        "state": pack.state,
        "digest": pack.digest,
        "maker": pack.maker,
        "maker_kind": pack.maker_kind,
        "name": pack.name,
        "version": pack.version,
        "title": pack.title,
        "licence": pack.licence,
        "provenance": pack.provenance,
        "base_name": pack.base_name,
        "documents": pack.documents,
        "ready": pack.ready,
        "failed": pack.failed,
        "size_bytes": pack.size,
        "left_bytes": pack.left,
        "left_s": pack.left_s,
        "failures": failures,
        "taken_by": pack.taken_by,
        "taken_at": iso(pack.taken_at),
    }
