"""`/web`: the web snapshots of this box, their pages as text, and removing them."""

from typing import Annotated, Any

from flask import Blueprint
from pydantic import Field, StringConstraints

from appliance.accounts.permissions import Permission
from appliance.clock import iso
from appliance.knowledge.web.snapshots import PAGE_OF_LIST, Snapshot
from webui import routing, shapes
from webui.routing import Call

api = Blueprint("web", __name__)


class Find(shapes.Shape):
    """Pages that hold every word of `q`, behind the page `after`."""

    q: Annotated[str, StringConstraints(max_length=200)] = ""
    after: Annotated[int, Field(ge=0, le=10**6)] = 0


@routing.route(api, "GET", "/web", permission=Permission.WEB_READ)
def list_snapshots(call: Call) -> dict[str, Any]:
    """All web snapshots, the newest capture first."""
    return {"items": [_described(each) for each in call.services.snapshots.list()]}


@routing.route(api, "GET", "/web/<snapshot_id>", permission=Permission.WEB_READ)
def show(call: Call, snapshot_id: str) -> dict[str, Any]:
    """One of them, and what was left out of it."""
    found = call.services.snapshots.get(snapshot_id)
    return {
        **_described(found),
        "robots": found.manifest.robots,
        "examples": [{"url": left.url, "why": left.why} for left in found.manifest.examples],
    }


@routing.route(api, "GET", "/web/<snapshot_id>/pages", permission=Permission.WEB_READ, query=Find)
def list_pages(call: Call, wish: Find, snapshot_id: str) -> dict[str, Any]:
    """Its pages, or those that hold all of some words, up to a hundred at once."""
    with routing.place(call):
        pages, total = call.services.snapshots.pages(snapshot_id, wish.q, wish.after)
    items = [
        {
            "number": page.number,
            "url": page.url,
            "title": page.title,
            "kind": page.kind,
            "has_text": page.has_text,
            "snippet": page.snippet,
        }
        for page in pages
    ]
    return {"items": items, "total": total, "next": pages[-1].number if len(pages) == PAGE_OF_LIST else None}


@routing.route(api, "GET", "/web/<snapshot_id>/pages/<int:number>", permission=Permission.WEB_READ)
def show_page(call: Call, snapshot_id: str, number: int) -> dict[str, Any]:
    """A page as text, with its blocks as ranges of characters, and where it leads to."""
    page = call.services.snapshots.page(snapshot_id, number)
    return {
        "number": page.number,
        "url": page.url,
        "title": page.title,
        "kind": page.kind,
        "captured_at": iso(page.captured_at) if page.captured_at else None,
        "text": page.text,
        "blocks": page.blocks,
        "links": [{"url": link.url, "words": link.words, "number": link.number} for link in page.links],
    }


@routing.route(api, "DELETE", "/web/<snapshot_id>", permission=Permission.BUNDLES_TAKE)
def remove(call: Call, snapshot_id: str) -> None:
    """Erase a snapshot: its files, and the text of its pages."""
    gone = call.services.snapshots.remove(snapshot_id)
    call.services.audit.record(
        call.who.name, "web-snapshot-removed", snapshot_id, name=gone.manifest.name, sha256=gone.digest
    )


def _described(snapshot: Snapshot) -> dict[str, Any]:
    manifest = snapshot.manifest
    return {
        "id": snapshot.id,
        "name": manifest.name,
        "title": manifest.title.model_dump(),
        "starts": list(manifest.starts),
        "captured_at": iso(float(manifest.ended)),
        "captured_by": manifest.by,
        "licence": manifest.licence,
        "terms": manifest.terms,
        "pages": snapshot.pages,
        "size_bytes": snapshot.size,
        "stopped": manifest.stopped,
        "left_out": manifest.left_out,
        "taken_by": snapshot.taken_by,
        "taken_at": iso(snapshot.taken_at),
    }
