"""Before anybody can sign in: the authority of the certificate, and keeping a network on trial at a new address."""

from typing import Final

from flask import Blueprint, Response, request

from appliance.errors import HakoError, NetworkTrialError, NotFoundError
from webui import connection, routing
from webui.pages.frame import Frame

_WORD_CHARS: Final = 100


def blueprint(frame: Frame) -> Blueprint:
    """`GET /authority.crt`; `GET` and `POST /keep-network?word=…`, the link that only who began the trial has."""
    pages = Blueprint("network", __name__)

    def show(*, kept: bool = False, error: HakoError | None = None) -> Response:
        return frame.page("keep_network.html", status=error.status if error else 200, error=error, kept=kept)

    def beginner() -> str:
        who = frame.box.machine.whose(request.args.get("word", "")[:_WORD_CHARS])
        if not who:
            raise NetworkTrialError("no such word, or not any more")
        return who

    def view() -> Response:
        try:
            beginner()
        except HakoError as error:
            return show(error=error)
        return show()

    def submit() -> Response:
        try:
            who = beginner()
            frame.box.machine.keep_network(connection.arrived(request.environ))
        except HakoError as error:
            return show(error=error)
        frame.box.services().audit.record(who, "network-kept")
        return show(kept=True)

    def authority() -> Response:
        """The machine's own authority, for browsers to trust; it is sent with each connection anyway."""
        pem = frame.box.machine.authority()
        if pem is None:
            raise NotFoundError("no authority of its own")
        response = Response(pem, content_type="application/x-x509-ca-cert")
        response.headers["Content-Disposition"] = 'attachment; filename="hako-ca.crt"'
        return response

    pages.add_url_rule("/authority.crt", "authority", routing.declare(authority, routing.PUBLIC), methods=["GET"])
    pages.add_url_rule("/keep-network", "view", routing.declare(view, routing.PUBLIC), methods=["GET"])
    pages.add_url_rule("/keep-network", "submit", routing.declare(submit, routing.PUBLIC), methods=["POST"])
    return pages
