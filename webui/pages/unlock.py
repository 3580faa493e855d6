"""The unlock page: opens the vault with the passphrase or the recovery key, and with it the whole box."""

from flask import Blueprint, Response, request

from appliance.errors import HakoError, SealedError
from webui import connection, routing
from webui.box import Box
from webui.pages.frame import Frame, go, inner_path


def blueprint(frame: Frame) -> Blueprint:
    """`GET` and `POST /unlock`."""
    pages = Blueprint("unlock", __name__)

    def show(error: HakoError | None = None) -> Response:
        method = "recovery_key" if request.args.get("with") == "recovery_key" else "passphrase"
        values = {"next": inner_path(request.args.get("next"))}
        status = error.status if error and error.status in (429, 503) else SealedError.status
        return frame.page("unlock.html", status=status, error=error, values=values, method=method)

    def view() -> Response:
        if is_open(frame.box):
            return go("/")
        return show()

    def submit() -> Response:
        try:
            asker = connection.asker(request.environ)
            frame.box.unlock(request.form.get("passphrase", ""), request.form.get("recovery_key", ""), asker)
        except HakoError as error:
            return show(error)
        return go(inner_path(request.args.get("next")))

    pages.add_url_rule("/unlock", "view", routing.declare(view, routing.PUBLIC), methods=["GET"])
    pages.add_url_rule("/unlock", "submit", routing.declare(submit, routing.PUBLIC), methods=["POST"])
    return pages


def is_open(box: Box) -> bool:
    """Whether the box is open, after a look at the vault."""
    try:
        box.services()
    except SealedError:
        return False
    return True
