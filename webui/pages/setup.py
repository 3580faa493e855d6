"""First set-up by the one-time link: language, administrator, recovery key shown once and confirmed."""

import hmac
import secrets
import threading
from dataclasses import dataclass
from typing import Any, Final

from flask import Blueprint, Response, request

from appliance.accounts.users import MIN_PASSWORD, User
from appliance.errors import HakoError, SetupLinkError, WrongPassphraseError
from appliance.services import Services
from webui import locales, routing, session, setup_link, shapes
from webui.pages.frame import Frame, go, picked_language
from webui.setup_link import SETTING, hash_token

__all__ = ["SETTING", "blueprint", "hash_token"]

_FORM_CHARS: Final = 300


class NewOperator(shapes.Shape):
    """The first account."""

    display_name: shapes.Name
    name: shapes.UserName
    password: shapes.Password


@dataclass
class Pending:
    """A recovery key that was shown and not confirmed yet: the group to type back, of whom."""

    user_id: str
    ask: int
    group: str


class Setup:
    """The steps and what they remember between two requests of the operator."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._pending: Pending | None = None
        self._creating = threading.Lock()
        """The link is good for one account, also when its form is sent twice at once."""

    def view(self) -> Response:
        """Where set-up stands: the first step with a valid link, the recovery key for the operator, else home."""
        services = self._frame.box.services()
        operator = self._operator(services)
        if operator is not None:
            if services.keys.status().recovery_confirmed:
                return go("/")
            return self._show_recovery(services, operator)
        token = _check_link(services)
        step = "account" if request.cookies.get(session.LANGUAGE_COOKIE) and picked_language() else "language"
        return self._page(step, token=token)

    def submit(self) -> Response:
        """One step's form."""
        services = self._frame.box.services()
        step = request.form.get("step", "")
        if step == "language":
            return self._page("account", token=_check_link(services))
        if step == "account":
            return self._create(services)
        operator = self._operator(services)
        if operator is None:
            raise SetupLinkError("no operator signed in")
        pending = self._waiting_for(operator)
        if step == "recovery" and pending:
            return self._page("confirm", recovery={"ask": pending.ask})
        if step == "confirm" and pending and not request.form.get("again"):
            return self._confirm(services, operator, pending)
        return self._show_recovery(services, operator)

    def _create(self, services: Services) -> Response:
        with self._creating:
            return self._create_one(services)

    def _create_one(self, services: Services) -> Response:
        token = _check_link(services)
        form = {name: request.form.get(name, "")[:_FORM_CHARS] for name in ("display_name", "name", "password")}
        values = {"display_name": form["display_name"], "name": form["name"]}
        language = self._frame.language()
        try:
            wish = shapes.read_values(form, NewOperator)
            user = services.users.create(wish.name, wish.display_name, "operator", wish.password, language)
        except HakoError as error:
            return self._page("account", status=error.status, error=error, token=token, values=values)
        setup_link.close(services)
        services.audit.record(user.id, "set-up", user.id)
        response = self._after_creation(services, user)
        session.begin(response, services.sessions.start(user, request.headers.get("User-Agent", "")[:200]))
        return response

    def _after_creation(self, services: Services, user: User) -> Response:
        if services.keys.status().recovery_confirmed:
            return self._done(user)
        return self._show_recovery(services, user)

    def _show_recovery(self, services: Services, operator: User) -> Response:
        """A new key each time: one that was on a screen before may have been seen by somebody else."""
        groups = services.keys.new_recovery().split("-")
        ask = secrets.randbelow(len(groups))
        self._pending = Pending(operator.id, ask + 1, groups[ask])
        return self._page("recovery", recovery={"groups": groups})

    def _confirm(self, services: Services, operator: User, pending: Pending) -> Response:
        typed = _plain(request.form.get("group", "")[:_FORM_CHARS])
        if not hmac.compare_digest(typed.encode(), _plain(pending.group).encode()):
            error = WrongPassphraseError("recovery group")
            return self._page("confirm", status=422, error=error, recovery={"ask": pending.ask})
        services.keys.confirm_recovery()
        services.audit.record(operator.id, "recovery-key-confirmed")
        self._pending = None
        return self._done(operator)

    def _done(self, user: User) -> Response:
        return self._page("done", account={"name": user.name, "display_name": user.display_name})

    def _waiting_for(self, operator: User) -> Pending | None:
        pending = self._pending
        return pending if pending and pending.user_id == operator.id else None

    @staticmethod
    def _operator(services: Services) -> User | None:
        visitor = session.current(services)
        is_operator = (
            visitor is not None and visitor.principal.role == "operator" and visitor.principal.via == "session"
        )
        return visitor.user if visitor and is_operator else None

    def _page(self, step: str, *, token: str = "", values: dict[str, str] | None = None, **context: Any) -> Response:
        wish = locales.choose(request.form.get("language"), default=self._frame.language())
        return self._frame.page(
            "setup.html",
            step=step,
            values={**(values or {}), "token": token},
            min_length=MIN_PASSWORD,
            language=wish,
            **context,
        )


def blueprint(frame: Frame) -> Blueprint:
    """`GET` and `POST /setup`."""
    pages = Blueprint("setup", __name__)
    setup = Setup(frame)
    pages.add_url_rule("/setup", "view", routing.declare(setup.view, routing.PUBLIC), methods=["GET"])
    pages.add_url_rule("/setup", "submit", routing.declare(setup.submit, routing.PUBLIC), methods=["POST"])
    return pages


def _check_link(services: Services) -> str:
    """The token of a link that may still be used.

    Raises:
        SetupLinkError: wrong, used, or there is somebody already.
    """
    token = request.values.get("token", "")[:_FORM_CHARS]
    if not setup_link.is_valid(services, token):
        raise SetupLinkError("token wrong or used")
    return token


def _plain(typed: str) -> str:
    """A typed group without what people add or mistake: spaces, case, O for 0, I and L for 1."""
    return "".join(typed.split()).replace("-", "").upper().translate(str.maketrans("OIL", "011"))
