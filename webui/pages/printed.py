"""The proof of the air gap as a page to print: A4, black on white, the report that was made last."""

from flask import Blueprint, Response

from appliance.accounts.permissions import Permission
from webui import airgap_words, routing
from webui.pages.frame import Frame
from webui.routing import Call


def blueprint(frame: Frame) -> Blueprint:
    """`GET /print/airgap`."""
    pages = Blueprint("printed", __name__)

    @routing.route(pages, "GET", "/print/airgap", permission=Permission.AUDIT_READ)
    def airgap(call: Call) -> Response:
        """Raises NotFoundError: none was made yet."""
        made = call.services.airgap.last()
        told = airgap_words.described(made.report(), frame.language())
        digest = airgap_words.grouped(made.digest)
        return frame.page("print_airgap.html", told=told, digest=digest, signature=made.signature.hex())

    return pages
