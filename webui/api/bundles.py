"""`/bundles`: whom the box trusts, what lies in a folder, taking a bundle from it, what this box needs."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

import flask
from flask import Blueprint
from pydantic import Field, SecretStr, StringConstraints, model_validator

from appliance.accounts.permissions import Permission
from appliance.bundle.media import Place
from appliance.bundle.planning import Plan
from appliance.bundle.request import Request
from appliance.bundle.shelf import Visibility
from appliance.bundle.taking import Found, Look, Taken
from appliance.bundle.trust import anchors
from appliance.bundle.trust.anchors import Anchor, Described
from appliance.bundle.update import system as systems
from appliance.bundle.web_packs import PackedSnapshot, SnapshotState
from appliance.clock import iso
from appliance.errors import ForbiddenError
from appliance.jobs.queue import Job
from webui import connection, reauth, routing, shapes
from webui.api.runs import described, with_title
from webui.routing import Call

api = Blueprint("bundles", __name__)

Folder = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Handle = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Password = Annotated[str, StringConstraints(max_length=1024)]
Fingerprint = Annotated[str, StringConstraints(max_length=200)]


class Trust(shapes.Shape):
    """A publisher's root file as text. With `dry_run` it is only described, for the fingerprint to be compared."""

    root: Annotated[str, StringConstraints(min_length=1, max_length=anchors.LONGEST)]
    fingerprint: Fingerprint = ""
    replaces: Fingerprint = ""
    password: Password = ""
    dry_run: bool = False


class MachineTrust(shapes.Shape):
    """Fingerprints of the publisher that root trusts from now on, and of the one before; empty for none."""

    fingerprint: Digest
    replaces: Digest | Literal[""] = ""


class Where(shapes.Shape):
    """Where the bundles lie: one of `/bundles/media`, or on the admin socket any folder of this machine."""

    folder: Folder | None = None
    media: Handle | None = None

    @model_validator(mode="after")
    def _one_place(self) -> "Where":
        if (self.folder is None) is (self.media is None):
            raise ValueError("exactly one of folder, media")
        return self


class Take(Where):
    """The bundle that was looked at, by the digest of its index; and who may read documents that it brings."""

    digest: Digest
    visibility: Visibility = "private"
    password: Password = ""


class Stale(Where):
    """What is past its date there is taken all the same."""

    recovery_key: Annotated[SecretStr, Field(max_length=200)]
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


@routing.route(api, "GET", "/bundles", permission=Permission.BUNDLES_TAKE)
def list_taken(call: Call) -> dict[str, Any]:
    """The bundles that this box has taken, newest first."""
    return {"items": [_taken(each) for each in call.services.bundles.taken()]}


@routing.route(api, "GET", "/bundles/trust", permission=Permission.BUNDLES_TAKE)
def show_trust(call: Call) -> dict[str, Any]:
    """The publisher that counts, if there is one."""
    anchor = call.services.bundles.anchors.current()
    return {"publisher": _publisher(anchor) if anchor else None}


@routing.route(api, "PUT", "/bundles/trust", permission=Permission.BUNDLES_TAKE, body=Trust)
def put_trust(call: Call, wish: Trust) -> dict[str, Any]:
    """Trust this publisher, and nobody else, from now on."""
    root = wish.root.encode("utf-8", "replace")
    if wish.dry_run:
        return {"publisher": _root(anchors.describe(root))}
    reauth.demand(call, wish.password)
    anchor = call.services.bundles.trust(root, wish.fingerprint, call.who.name, wish.replaces)
    return {"publisher": _publisher(anchor)}


@routing.route(api, "POST", "/bundles/trust/machine", permission=Permission.BUNDLES_TAKE, body=MachineTrust)
def note_machine(call: Call, wish: MachineTrust) -> None:
    """Only record it: who is root at the machine changes it there, and no session can."""
    if call.who.via != "socket":
        raise ForbiddenError("a change at the machine is told by who works on it")
    call.services.audit.record(call.who.name, "machine-publisher-changed", wish.fingerprint, replaces=wish.replaces)


@routing.route(api, "GET", "/bundles/media", permission=Permission.BUNDLES_TAKE)
def list_media(call: Call) -> dict[str, Any]:
    """The sticks and folders that look as if bundles lay on them, as they are now."""
    found = call.services.bundles.media.found()
    return {
        "items": [
            {"id": medium.id, "name": medium.name, "folder": medium.path, "pack": bool(medium.place.pack)}
            for medium in found
        ],
        "folders": [str(folder) for folder in call.services.settings.storage.media],
    }


@routing.route(api, "POST", "/bundles/look", permission=Permission.BUNDLES_TAKE, body=Where)
def look(call: Call, where: Where) -> dict[str, Any]:
    """What lies there, and what taking it would do. Copies nothing."""
    demand_terminal(call, where)
    with routing.place(call):
        return _look(call, call.services.bundles.look(place_of(call, where)))


@routing.route(api, "POST", "/bundles/stale", permission=Permission.BUNDLES_TAKE, body=Stale)
def accept_stale(call: Call, wish: Stale) -> dict[str, Any]:
    """Take what is signed there for a day, though it is past its date: with the recovery key and a reason."""
    demand_terminal(call, wish)
    with routing.place(call):
        place = place_of(call, wish)
        call.services.keys.check_recovery(wish.recovery_key.get_secret_value(), connection.asker(flask.request.environ))
        return _look(call, call.services.bundles.accept_stale(place, wish.reason, call.who.name))


@routing.route(api, "POST", "/bundles/taking", permission=Permission.BUNDLES_TAKE, body=Take, status=202)
def take(call: Call, wish: Take) -> dict[str, Any]:
    """Begin to take a bundle, or go on with it."""
    demand_terminal(call, wish)
    reauth.demand(call, wish.password)
    with routing.place(call):
        place, who = place_of(call, wish), call.who.name
        return {"job": _job(call, call.services.bundles.take(place, wish.digest, who, wish.visibility))}


@routing.route(api, "GET", "/bundles/taking", permission=Permission.BUNDLES_TAKE)
def progress(call: Call) -> dict[str, Any]:
    """How far it is, or how the last one ended."""
    job = call.services.bundles.job()
    return {"job": _job(call, job) if job else None}


@routing.route(api, "DELETE", "/bundles/taking", permission=Permission.BUNDLES_TAKE)
def cancel(call: Call) -> None:
    """Stop taking, or give up what was left half taken."""
    call.services.bundles.cancel(call.who.name)


@routing.route(api, "GET", "/bundles/request", permission=Permission.BUNDLES_TAKE)
def request(call: Call) -> Request:
    """What this box has and is, for a publisher."""
    return call.services.bundles.request()


def demand_terminal(call: Call, where: Where) -> None:
    """Raises ForbiddenError: a browser names a path of the machine."""
    if where.folder is not None and call.who.via != "socket":
        raise ForbiddenError("a path of this machine is for who works on it")


def place_of(call: Call, where: Where) -> str | Place:
    """What a wish names. Raises BundleUnreadableError: the medium is gone, or another one is in its place."""
    if where.folder is not None:
        return where.folder
    return call.services.bundles.media.get(where.media or "").place


def _root(described: Described) -> dict[str, Any]:
    return {
        "fingerprint": described.fingerprint,
        "version": described.version,
        "expires": iso(described.expires),
        "roles": {name: {"keys": keys, "threshold": least} for name, (keys, least) in described.roles.items()},
    }


def _publisher(anchor: Anchor) -> dict[str, Any]:
    return {**_root(anchors.describe(anchor.root)), "set_by": anchor.set_by, "set_at": iso(anchor.set_at)}


def _taken(taken: Taken) -> dict[str, Any]:
    return {
        "digest": taken.digest,
        "kind": taken.kind,
        "name": taken.name,
        "version": taken.version,
        "licence": taken.licence,
        "size_bytes": taken.size,
        "publisher": taken.fingerprint,
        "taken_by": taken.by,
        "taken_at": iso(taken.at),
    }


def _look(call: Call, seen: Look) -> dict[str, Any]:
    return {
        "publisher": seen.maker,
        "sender": seen.sender and asdict(seen.sender),
        "issued": iso(seen.issued),
        "clock_is_credible": seen.clock_is_credible,
        "broken_chain": seen.broken_chain,
        "stale": seen.is_stale,
        "items": [_found(call, found) for found in seen.bundles],
    }


def _found(call: Call, found: Found) -> dict[str, Any]:
    index = found.index
    about = index.model_dump(include={"kind", "name", "version", "title", "notes", "licence", "provenance", "requires"})
    return {
        **about,
        "digest": found.digest,
        "size_bytes": index.size,
        "issued": iso(float(index.issued)),
        "irreversible": index.irreversible,
        "plan": _plan(call, found.plan),
    }


def _plan(call: Call, plan: Plan) -> dict[str, Any]:
    models = [
        {
            "id": model.id,
            "name": model.manifest.name if model.manifest else model.id,
            "size_bytes": model.size,
            "state": state,
        }
        for model, state in plan.models
    ]
    return {
        "models": models,
        "snapshots": [_snapshot(packed, state) for packed, state in plan.snapshots],
        "documents": plan.documents and asdict(plan.documents),
        "system": _system(plan),
        "to_copy_bytes": plan.to_copy,
        "from_box_bytes": plan.from_box,
        "free_bytes": plan.free,
        "restarts": list(plan.restarts),
        "refusals": [described(error, call.language) for error in plan.refusals],
    }


def _system(plan: Plan) -> dict[str, Any] | None:
    """A whole system: what it would come beside, and about how long that takes with the restart."""
    if plan.system is None:
        return None
    manifest, standing = plan.system
    return {
        "number": manifest.number,
        "version": manifest.version,
        "before": standing.running.number,
        "seconds": systems.seconds(manifest),
    }


def _snapshot(packed: PackedSnapshot, state: SnapshotState) -> dict[str, Any]:
    manifest = packed.manifest
    return {
        "id": manifest.name,
        "title": manifest.title.model_dump(),
        "starts": list(manifest.starts),
        "captured_at": iso(float(manifest.ended)),
        "captured_by": manifest.by,
        "licence": manifest.licence,
        "terms": manifest.terms,
        "pages": manifest.pages,
        "left_out": manifest.left_out,
        "size_bytes": packed.size,
        "state": state,
    }


def _job(call: Call, job: Job) -> dict[str, Any]:
    error = {"code": job.error_code, "params": job.error_params} if job.error_code else None
    return {
        "state": job.state,
        "cancelling": job.cancel and job.state == "running",
        "stage": job.stage,
        "done": job.done,
        "total": job.total,
        "digest": job.payload["digest"],
        "kind": job.payload.get("kind", "models"),
        "name": job.payload["name"],
        "version": job.payload["version"],
        "kept": call.services.bundles.keeps(job),
        "error": with_title(error, call.language) if error else None,
    }
