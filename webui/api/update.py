"""`/update`: which release runs here, which could, changing to it, going back, and what the box sees of itself."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from flask import Blueprint
from pydantic import StringConstraints

from appliance.accounts.permissions import Permission
from appliance.backup import freshness
from appliance.bundle.update.history import Change
from appliance.bundle.update.preview import Preview
from appliance.bundle.update.state import RESTING, Phase, Release, Update
from appliance.clock import iso, now
from appliance.machine.gap import State as GapState
from webui import reauth, routing, shapes
from webui.api.runs import described
from webui.routing import Call

api = Blueprint("update", __name__)

_PRESENT_S: Final = 15 * 60.0

Password = Annotated[str, StringConstraints(max_length=1024)]


class Start(shapes.Shape):
    """The release that is installed, by the digest of its bundle. `irreversible`: agreed that there is no way back."""

    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    irreversible: bool = False
    password: Password = ""


class Back(shapes.Shape):
    """Going back to the release before."""

    password: Password = ""


class Way(shapes.Shape):
    """To the release that is installed, or back to the one before."""

    to: Literal["ready", "back"] = "ready"


@routing.route(api, "GET", "/update", permission=Permission.BUNDLES_TAKE)
def show(call: Call) -> dict[str, Any]:
    """What runs here, how far an update is or how the last one ended, and what an operator could do."""
    updates = call.services.bundles.updates
    standing = updates.standing()
    last = standing.changes[0] if standing.changes else None
    came = next((change for change in standing.changes if change.kept or not change.on_trial), None)
    return {
        "running": _release(standing.running),
        "since": _time(came.at) if came else None,
        "floor": standing.floor,
        "ready": _release(standing.ready),
        "back": _release(standing.back),
        "no_way_back": standing.no_way,
        **_update(standing.update),
        "seen": _seen(updates.places.seen()) if standing.update.is_trial else None,
        "last": _change(last) if last else None,
    }


@routing.route(api, "GET", "/update/plan", permission=Permission.BUNDLES_TAKE, query=Way)
def plan(call: Call, way: Way) -> dict[str, Any]:
    """What a change of the release would mean, and why it can't begin where it can't. Changes nothing."""
    with routing.place(call):
        planned = call.services.bundles.updates.preview(_gap(call), back=way.to == "back")
    return {**_plan(call, planned), "backup": _backup(call), "now": _now(call)}


@routing.route(api, "POST", "/update/start", permission=Permission.BUNDLES_TAKE, body=Start, status=202)
def start(call: Call, wish: Start) -> dict[str, Any]:
    """Change to the release that is installed: the box stops within seconds, and comes back with that one on trial."""
    reauth.demand(call, wish.password)
    updates = call.services.bundles.updates
    return _update(updates.start(wish.digest, call.who.name, _gap(call), irreversible=wish.irreversible))


@routing.route(api, "POST", "/update/rollback", permission=Permission.BUNDLES_TAKE, body=Back, status=202)
def roll_back(call: Call, wish: Back) -> dict[str, Any]:
    """Take back the release that is on trial, or go back to the one before."""
    reauth.demand(call, wish.password)
    return _update(call.services.bundles.updates.roll_back(call.who.name))


@routing.route(api, "GET", "/update/checks", permission=Permission.BUNDLES_TAKE)
def checks(call: Call) -> dict[str, Any]:
    """What can't be seen from outside: whether the audit log is as it was written, and what has left the box."""
    remote, log = call.services.gateway.remote, call.services.audit.verify()
    return {
        "audit_sound": log.is_sound,
        "audit_entries": log.entries,
        "gap": routing.box().gap.look().state,
        "sent": remote.sent if remote else 0,
        "destinations": len(call.services.destinations.all()),
    }


def _gap(call: Call) -> GapState:
    """Where an operator has named a destination, a connection to the outside is no trouble."""
    return "closed" if call.services.destinations.all() else routing.box().gap.look().state


def _plan(call: Call, planned: Preview) -> dict[str, Any]:
    about, time = planned.about, planned.time
    return {
        "before": _release(planned.before),
        "after": _release(planned.after),
        "title": _text(about.get("title")),
        "notes": _text(about.get("notes")),
        "licence": str(about.get("licence") or ""),
        "issued": _time(float(about.get("issued") or 0)),
        "size_bytes": int(about.get("size") or 0),
        "packages": [
            {"name": package.name, "before": package.before, "after": package.after} for package in planned.packages
        ],
        "schema_steps": planned.schema_steps,
        "snapshot_bytes": planned.snapshot,
        "free_bytes": planned.free,
        "time": {"stop_s": time.stop, "start_s": time.start, "check_s": time.check, "measured": time.measured},
        "unlock": not call.services.settings.development,
        "blockers": [described(error, call.language) for error in planned.blockers],
    }


def _backup(call: Call) -> dict[str, Any]:
    """Whether the newest backup has what people did last; no backup has nothing."""
    made, changed = call.services.backups.made_at(), freshness.changed_at(call.services.database)
    return {
        "made_at": _time(made or 0.0),
        "changed_at": _time(changed or 0.0),
        "is_older": changed is not None and (made is None or made < changed),
    }


def _now(call: Call) -> dict[str, Any]:
    """Who and what a stop would cut off: answers and jobs go on afterwards, or are done again."""
    services = call.services
    return {
        "answers": max(services.runs.writing, routing.box().places.taken),
        "people": services.sessions.present(_PRESENT_S),
        "jobs": services.queue.unfinished(),
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "version": change.version,
        "before": change.before,
        "kept": change.kept,
        "on_trial": change.on_trial,
        "reason": change.reason,
        "code": change.code,
        "by": change.by,
        "at": _time(change.at),
        "stood_still_s": change.stood_still_s,
    }


def _seen(seen: Mapping[str, Any]) -> dict[str, Any]:
    """The present look at the release on trial: parts that it has passed, in order, and the one that failed."""
    return {
        "number": int(seen.get("number") or 0),
        "passed": [str(part) for part in seen.get("passed") or ()],
        "failed": str(seen.get("failed") or ""),
        "code": str(seen.get("code") or ""),
    }


def _text(said: object) -> dict[str, str]:
    """Words of a publisher in both languages; empty where there are none."""
    known = said if isinstance(said, Mapping) else {}
    return {language: str(known.get(language) or "") for language in ("ja", "en")}


def _time(at: float) -> str | None:
    return iso(at) if at else None


def _update(update: Update) -> dict[str, Any]:
    target = update.target if update.target.name else None
    began = update.times.get(Phase.WANTED) or update.times.get(Phase.ROLLING_BACK) or 0.0
    return {
        "phase": update.phase.value,
        "target": _release(target),
        "boots_left": update.boots_left,
        "reason": update.reason,
        "began_at": _time(began),
        "lasted_s": max(0.0, now() - began) if began and update.phase not in RESTING else None,
        "until": _time(update.until),
        "left_s": max(0.0, update.until - now()) if update.until else None,
    }


def _release(release: Release | None) -> dict[str, Any] | None:
    if release is None:
        return None
    return {
        "version": release.version,
        "counter": release.counter,
        "floor": release.floor,
        "digest": release.digest,
        "irreversible": release.irreversible,
    }
