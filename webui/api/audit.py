"""`/audit`: the log of who did what, whether it is whole, and the file of it that proves itself to outsiders."""

from collections.abc import Iterator
from typing import Annotated, Any

from flask import Blueprint, Response
from pydantic import Field, StringConstraints

from appliance.accounts.permissions import Permission
from appliance.clock import iso
from appliance.storage.audit import Entry
from appliance.storage.audit_check import Finding, Report
from appliance.storage.checkpoints import Checkpoint, box_of
from webui import locales, reauth, routing, shapes
from webui.locales import Language
from webui.routing import Call
from webui.sse import Body

api = Blueprint("audit", __name__)

_LINES = 200
"""Of an export that go out in one piece."""

Word = Annotated[str, StringConstraints(max_length=200)]


class Listed(shapes.Shape):
    """Newest first; `before` continues below a number. `actor`: an account's name or id, or `box`."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 200
    before: int | None = None
    actor: Word = ""
    action: Word = ""


class Accept(shapes.Shape):
    """Keys of findings as they were shown. Whoever takes note of them gives their own password once more."""

    findings: Annotated[tuple[Word, ...], Field(max_length=100)]
    password: Annotated[str, StringConstraints(max_length=1024)] = ""


@routing.route(api, "GET", "/audit", permission=Permission.AUDIT_READ, query=Listed)
def list_entries(call: Call, wish: Listed) -> dict[str, Any]:
    """Who did what, newest first."""
    names = {user.id: user.name for user in call.services.users.list()}
    actors = [wish.actor, *(known for known, name in names.items() if name == wish.actor)] if wish.actor else []
    found = call.services.audit.entries(wish.limit, wish.before, actors, wish.action)
    return {"items": [_entry(entry, names) for entry in found]}


@routing.route(api, "GET", "/audit/verify", permission=Permission.AUDIT_READ)
def last_report(call: Call) -> dict[str, Any]:
    """What the last look has shown: that of the start, or a later one."""
    audit = call.services.audit
    return _report(call, audit.report or audit.verify(whole=False))


@routing.route(api, "POST", "/audit/verify", permission=Permission.AUDIT_READ)
def verify(call: Call) -> dict[str, Any]:
    """Look at every entry and every checkpoint now."""
    with routing.place(call):
        return _report(call, call.services.audit.verify())


@routing.route(api, "POST", "/audit/accept", permission=Permission.BOX_MANAGE, body=Accept)
def accept(call: Call, wish: Accept) -> dict[str, Any]:
    """Take note of findings: they stay in the log, and are no longer told as new."""
    reauth.demand(call, wish.password)
    with routing.place(call):
        return _report(call, call.services.audit.accept(wish.findings, call.who.name))


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


def _pieces(lines: Iterator[str]) -> Iterator[bytes]:
    piece: list[str] = []
    for line in lines:
        piece.append(line)
        if len(piece) == _LINES:
            yield "".join(piece).encode()
            piece.clear()
    if piece:
        yield "".join(piece).encode()


def _entry(entry: Entry, names: dict[str, str]) -> dict[str, Any]:
    return {
        "number": entry.number,
        "at": iso(entry.at),
        "actor": entry.actor,
        "actor_name": names.get(entry.actor, entry.actor),
        "action": entry.action,
        "target": entry.target,
        "detail": entry.detail,
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
