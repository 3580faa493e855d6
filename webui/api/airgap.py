"""`/airgap`: what is seen of the air gap now, the tries to leave, and the report that the box signs."""

from dataclasses import asdict
from typing import Any, Final

from flask import Blueprint, Response

from appliance.accounts.permissions import Permission
from appliance.clock import iso
from appliance.errors import NotFoundError
from appliance.health.airgap.report import Report, Signed
from webui import routing, security, shapes
from webui.airgap_words import described
from webui.routing import Call

api = Blueprint("airgap", __name__)

NAME: Final = "hako-airgap.json"


class Make(shapes.Shape):
    """`check_files`: read every file of software and models and compare it with its digest; seconds for each GB."""

    check_files: bool = True


@routing.route(api, "GET", "/airgap", permission=Permission.AUDIT_READ)
def look(call: Call) -> dict[str, Any]:
    """How every part stands now; files of software and models are not read. `report`: the last one, if any."""
    with routing.place(call):
        return _told(call, call.services.airgap.look(security.CSP))


@routing.route(api, "POST", "/airgap/test", permission=Permission.AUDIT_READ)
def test(call: Call) -> dict[str, Any]:
    """Have every process try to leave, now; answers as `GET /airgap` does."""
    with routing.place(call):
        call.services.airgap.run_test(call.who.name)
        return _told(call, call.services.airgap.look(security.CSP))


@routing.route(api, "POST", "/airgap/report", permission=Permission.AUDIT_READ, body=Make, status=201)
def make(call: Call, wish: Make) -> dict[str, Any]:
    """Make a report and sign it; that it was made is on record."""
    with routing.place(call):
        return _made(call.services.airgap.make(call.who.name, security.CSP, check_files=wish.check_files))


@routing.route(api, "GET", "/airgap/report", permission=Permission.AUDIT_READ)
def download(call: Call) -> Response:
    """The signed file of the report that was made last."""
    response = Response(call.services.airgap.last().text(), content_type="application/json")
    response.headers["Content-Disposition"] = f'attachment; filename="{NAME}"'
    return response


def _told(call: Call, report: Report) -> dict[str, Any]:
    told = described(report, call.language)
    try:
        made = _made(call.services.airgap.last())
    except NotFoundError:
        made = None
    return {
        "verdict": told.verdict,
        "sentence": told.sentence,
        "at": iso(report.at),
        "fingerprint": report.box,
        "parts": [asdict(section) for section in told.sections],
        "report": made,
    }


def _made(signed: Signed) -> dict[str, Any]:
    told = signed.told
    return {"sha256": signed.digest, "at": iso(told["at"]), "verdict": told["verdict"], "fingerprint": told["box"]}
