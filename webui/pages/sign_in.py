"""Signing in and out: name and password, throttled by name and by address, answered alike for unknown names."""

from typing import Final

from flask import Blueprint, Response, request

from appliance.errors import HakoError, TooManyTriesError, WrongPasswordError
from appliance.services import Services
from webui import routing, session
from webui.pages.frame import Frame, go, inner_path

_TRIES: Final = 5
"""At one name from one address: who guesses elsewhere can't keep the person out."""
_TRIES_OF_NAME: Final = 60
"""At one name from all addresses together."""
_TRIES_OF_ADDRESS: Final = 30
_PER_S: Final = 60.0
_NAME_CHARS: Final = 64


def blueprint(frame: Frame) -> Blueprint:
    """`GET`, `POST /sign-in` and `POST /sign-out`."""
    pages = Blueprint("sign_in", __name__)

    def show(error: HakoError | None = None, name: str = "") -> Response:
        values = {"name": name, "next": inner_path(request.values.get("next"))}
        return frame.page("sign_in.html", status=error.status if error else 200, error=error, values=values)

    def view() -> Response:
        if session.current(frame.box.services()) is not None:
            return go(inner_path(request.args.get("next")))
        return show()

    def submit() -> Response:
        name = request.form.get("name", "").strip()
        try:
            token = sign_in(frame.box.services(), name, request.form.get("password", ""))
        except HakoError as error:
            return show(error, name[:_NAME_CHARS])
        response = go(inner_path(request.values.get("next")))
        session.begin(response, token)
        return response

    def leave() -> Response:
        token = request.cookies.get(session.cookie_name(request))
        if token:
            frame.box.services().sessions.end(token)
        response = go("/sign-in")
        session.end(response)
        return response

    pages.add_url_rule("/sign-in", "view", routing.declare(view, routing.PUBLIC), methods=["GET"])
    pages.add_url_rule("/sign-in", "submit", routing.declare(submit, routing.PUBLIC), methods=["POST"])
    pages.add_url_rule("/sign-out", "leave", routing.declare(leave, routing.PUBLIC), methods=["POST"])
    return pages


def sign_in(services: Services, name: str, password: str) -> str:
    """A new session's token.

    Raises:
        WrongPasswordError: with the tries that are left.
        TooManyTriesError: for this name, or from this address.
    """
    known_as = name[:_NAME_CHARS].lower()
    bucket = f"sign-in:{request.remote_addr}:{known_as}"
    services.throttle.take(f"sign-in-from:{request.remote_addr}", _TRIES_OF_ADDRESS, _PER_S)
    services.throttle.take(bucket, _TRIES, _PER_S)
    services.throttle.take(f"sign-in-as:{known_as}", _TRIES_OF_NAME, _PER_S)
    try:
        user = services.users.verify(name, password)
    except WrongPasswordError:
        left = int(services.throttle.left(bucket, _TRIES, _PER_S))
        services.audit.record("anonymous", "sign-in-failed", name[:_NAME_CHARS])
        if left < 1:
            raise TooManyTriesError(retry_after_s=int(_PER_S / _TRIES)) from None
        raise WrongPasswordError(tries_left=left) from None
    services.throttle.clear(bucket)
    services.audit.record(user.id, "signed-in")
    old = request.cookies.get(session.cookie_name(request))
    if old:
        services.sessions.end(old)
    return services.sessions.start(user, request.headers.get("User-Agent", "")[:200])
