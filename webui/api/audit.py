"""`/audit`: the log of who did what, whether it is whole, and the file of it that proves itself to outsiders."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Annotated, Any

from flask import Blueprint, Response, request
from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints

from appliance.accounts.permissions import Permission
from appliance.clock import iso
from appliance.errors import CancelledError, HakoError
from appliance.storage import audit_actions
from appliance.storage.audit import Entry
from appliance.storage.audit_actions import Group
from appliance.storage.audit_check import Finding, Report
from appliance.storage.checkpoints import Checkpoint, box_of
from webui import connection, locales, reauth, routing, shapes, sse
from webui.api.audit_names import Names
from webui.api.runs import described
from webui.locales import Language
from webui.routing import Call
from webui.sse import Body

api = Blueprint("audit", __name__)

_LINES = 200
"""Of an export that go out in one piece."""
_TELL_S = 0.5

Word = Annotated[str, StringConstraints(max_length=200)]


Reason = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(shapes.one_line)
]


class Listed(shapes.Shape):
    """Newest first; `before` continues below a number. `actor`: an account's name or id, or `box`.

    `group`: of actions. `since`, `until`: from that moment on, and before that moment.
    """

    limit: Annotated[int, Field(ge=1, le=1000)] = 200
    before: Annotated[int, Field(ge=1, le=(1 << 63) - 1)] | None = None
    actor: Word = ""
    action: Word = ""
    group: Group | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class Accept(shapes.Shape):
    """Keys of findings as they were shown. Whoever takes note of them says why, and gives their own password again."""

    findings: Annotated[tuple[Word, ...], Field(max_length=100)]
    reason: Reason
    password: Annotated[str, StringConstraints(max_length=1024)] = ""


@routing.route(api, "GET", "/audit", permission=Permission.AUDIT_READ, query=Listed)
def list_entries(call: Call, wish: Listed) -> dict[str, Any]:
    """Who did what, newest first. `newest` is the number of the newest entry of all, whatever was asked for."""
    names, audit = Names(call), call.services.audit
    newest = audit.last_number()
    found = audit.entries(
        wish.limit,
        wish.before,
        names.ids_of(wish.actor) if wish.actor else (),
        wish.action,
        actions=audit_actions.of(wish.group) if wish.group else (),
        since=wish.since.timestamp() if wish.since else None,
        until=wish.until.timestamp() if wish.until else None,
    )
    return {"items": [_entry(entry, names) for entry in found], "newest": newest}


@routing.route(api, "GET", "/audit/verify", permission=Permission.AUDIT_READ)
def last_report(call: Call) -> dict[str, Any]:
    """What the last look has shown: that of the start, or a later one."""
    audit = call.services.audit
    return _report(call, audit.report or audit.verify(whole=False))


@routing.route(api, "POST", "/audit/verify", permission=Permission.AUDIT_READ)
def verify(call: Call) -> Response:
    """Look at every entry and every checkpoint now; with `Accept: text/event-stream` it says how far it is."""
    place, audit = routing.place(call), call.services.audit
    if "text/event-stream" in request.headers.get("Accept", ""):
        left = connection.watcher(request.environ)
        return sse.response(sse.frames(_told(call, left), left), place.close)
    with place:
        return routing.answer(_report(call, audit.verify()))


@routing.route(api, "POST", "/audit/accept", permission=Permission.BOX_MANAGE, body=Accept)
def accept(call: Call, wish: Accept) -> dict[str, Any]:
    """Take note of findings: they stay in the log, and are no longer told as new."""
    reauth.demand(call, wish.password)
    with routing.place(call):
        return _report(call, call.services.audit.accept(wish.findings, call.who.name, wish.reason))


@routing.route(api, "GET", "/audit/key", permission=Permission.AUDIT_READ)
def key(call: Call) -> dict[str, Any]:
    """What exports are verified with, and the newest checkpoint, to be noted outside of the box."""
    audit = call.services.audit
    newest = audit.newest()
    return {
        "public_key": audit.public_key.hex(),
        "box": box_of(audit.public_key),
        "newest": _checkpoint(newest) if newest else None,
    }


@routing.route(api, "GET", "/audit/export", permission=Permission.AUDIT_READ)
def export(call: Call) -> Response:
    """The whole log as lines of JSON, signed; see the manual for what each holds."""
    place = routing.place(call)
    try:
        lines = call.services.audit.export(call.who.name, routing.box().settings.name)
    except BaseException:
        place.close()
        raise
    response = Response(Body(_pieces(lines), place.close), content_type="application/x-ndjson")
    response.headers["Content-Disposition"] = 'attachment; filename="hako-audit.jsonl"'
    return response


def sentence(found: Finding, language: Language) -> str:
    """A finding in words."""
    return locales.t(f"audit.finding.{found.kind}", language, first=found.first, last=found.last, number=found.number)


def _told(call: Call, left: Callable[[], bool]) -> Iterator[sse.Event | None]:
    """How far the look is, and its report. Who leaves ends it."""
    progress = _Progress(left)
    with ThreadPoolExecutor(1) as pool:
        look = pool.submit(call.services.audit.verify, told=progress.put)
        try:
            while not wait([look], _TELL_S).done:
                yield sse.Event("progress", {"done": progress.done, "total": progress.total})
            yield sse.Event("done", _report(call, look.result()))
        except HakoError as error:
            yield sse.Event("error", described(error, call.language))
        finally:
            progress.is_wanted = False


class _Progress:
    """Between the thread that looks and the one that tells."""

    def __init__(self, left: Callable[[], bool]) -> None:
        self._left = left
        self.done = self.total = 0
        self.is_wanted = True

    def put(self, done: int, total: int) -> None:
        """Raises CancelledError once nobody waits for it any more."""
        self.done, self.total = done, total
        if not self.is_wanted or self._left():
            raise CancelledError


def _pieces(lines: Iterator[str]) -> Iterator[bytes]:
    piece: list[str] = []
    for line in lines:
        piece.append(line)
        if len(piece) == _LINES:
            yield "".join(piece).encode()
            piece.clear()
    if piece:
        yield "".join(piece).encode()


def _entry(entry: Entry, names: Names) -> dict[str, Any]:
    who, known = names.actor(entry), audit_actions.ACTIONS.get(entry.action)
    return {
        "number": entry.number,
        "at": iso(entry.at),
        "actor": entry.actor,
        "actor_name": who["account"] or entry.actor,
        "who": who,
        "action": entry.action,
        "group": known.group if known else None,
        "outcome": audit_actions.outcome(entry.action, entry.detail),
        "target": entry.target,
        "what": names.target(entry),
        "detail": entry.detail,
        "named": names.details(entry),
    }


def _report(call: Call, report: Report) -> dict[str, Any]:
    return {
        "sound": report.is_sound,
        "whole": report.whole,
        "at": iso(report.at),
        "entries": report.entries,
        "checkpoints": report.checkpoints,
        "newest": _checkpoint(report.newest) if report.newest else None,
        "findings": [_finding(call, found) for found in report.findings],
    }


def _finding(call: Call, found: Finding) -> dict[str, Any]:
    return {
        "key": found.key,
        "kind": found.kind,
        "first": found.first,
        "last": found.last,
        "number": found.number,
        "accepted": found.is_accepted,
        "title": sentence(found, call.language),
    }


def _checkpoint(made: Checkpoint) -> dict[str, Any]:
    said = made.statement
    return {"serial": said.serial, "number": said.number, "at": iso(said.at), "name": said.name}
