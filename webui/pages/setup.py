"""First set-up in the browser: way in, passphrase, administrator, recovery key, and what the machine still needs."""

import hmac
import secrets
import threading
from dataclasses import dataclass
from typing import Any, Final

from flask import Blueprint, Response, request

from appliance.accounts.users import MIN_PASSWORD, User
from appliance.errors import HakoError, PasswordsDifferError, SetupLinkError, WrongPassphraseError
from appliance.services import Services
from webui import connection, locales, routing, session, setup_link, shapes
from webui.pages.frame import Frame, go, picked_language
from webui.pages.setup_later import Later
from webui.setup_link import SETTING, Where, hash_token, plain

__all__ = ["SETTING", "blueprint", "hash_token"]

_FORM_CHARS: Final = 300
_MIN_PASSPHRASE: Final = 8


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
        self._box = frame.box
        self._later = Later(frame.box)
        self._pending: Pending | None = None
        self._made_vault = False
        """Here and now: the step stays in the row of steps, so that none gets another number."""
        self._creating = threading.Lock()
        """The way in is good for one vault and one account, also when its form is sent twice at once."""

    def view(self) -> Response:
        """Where set-up stands: the first step for who has a way in, what is left for the operator, else home."""
        where, token = self._where(), request.args.get("token", "")[:_FORM_CHARS]
        if isinstance(where, Services):
            operator = self._operator(where)
            if operator is not None:
                return self._go_on(where, operator)
            if not token and where.users.count() and self._later.at(where):  # e.g. at a new address
                return go("/sign-in?next=/setup")
        if token or (isinstance(where, Services) and where.users.count()):
            self._check_link(where)
        is_chosen = request.cookies.get(session.LANGUAGE_COOKIE) and picked_language()
        return self._page(self._first_step(where, token) if is_chosen else "language", token=token)

    def submit(self) -> Response:
        """One step's form."""
        where, step = self._where(), request.form.get("step", "")
        if step in ("language", "code"):
            return self._come_in(where, step)
        if not isinstance(where, Services):
            return self._make_vault(where)
        if step == "vault":  # sent twice, and the first one has made it
            return self._page("account", token=self._check_link(where))
        return self._create(where) if step == "account" else self._submit_operators(where, step)

    def _submit_operators(self, where: Services, step: str) -> Response:
        operator = self._operator(where)
        if operator is None:
            raise SetupLinkError("no operator signed in")
        pending = self._waiting_for(operator)
        if step == "recovery" and pending:
            return self._page("confirm", recovery={"ask": pending.ask})
        if step == "confirm" and pending and not request.form.get("again"):
            return self._confirm(where, operator, pending)
        if step in self._later.steps() and where.keys.status().recovery_confirmed:
            return self._go_later(where, operator, step)
        return self._show_recovery(where, operator)

    def _where(self) -> Where:
        return self._box.first if self._box.lacks_vault() else self._box.services()

    # -- coming in

    def _come_in(self, where: Where, step: str) -> Response:
        token = request.form.get("token", "")[:_FORM_CHARS]
        if step == "language":
            if token:
                self._check_link(where)
            return self._page(self._first_step(where, token), token=token)
        try:
            with self._creating:
                code, asker = request.form.get("code", "")[:_FORM_CHARS], connection.asker(request.environ)
                token = setup_link.enter(where, code, self._box.setup_doors, asker)
        except HakoError as error:
            return self._page("code", status=error.status, error=error)
        return self._page(self._first_step(where, token), token=token)

    @staticmethod
    def _first_step(where: Where, token: str) -> str:
        if not token:
            return "code"
        return "account" if isinstance(where, Services) else "vault"

    def _make_vault(self, where: Where) -> Response:
        token = self._check_link(where)
        if request.form.get("step") != "vault":
            return self._page("vault", token=token)
        phrase, again = (request.form.get(name, "") for name in ("passphrase", "again"))
        try:
            if not hmac.compare_digest(phrase.encode(), again.encode()):
                raise PasswordsDifferError
            with self._creating:
                self._box.make_vault(phrase)
                self._made_vault = True
                setup_link.carry_over(self._box.first, self._box.services())
        except HakoError as error:
            return self._page("vault", status=error.status, error=error, token=token)
        return self._page("account", token=token)

    # -- the administrator

    def _create(self, services: Services) -> Response:
        with self._creating:
            return self._create_one(services)

    def _create_one(self, services: Services) -> Response:
        token = self._check_link(services)
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
        response = self._go_on(services, user, begin=True)
        session.begin(response, services.sessions.start(user, request.headers.get("User-Agent", "")[:200]))
        return response

    # -- the recovery key

    def _show_recovery(self, services: Services, operator: User) -> Response:
        """A new key each time: one that was on a screen before may have been seen by somebody else."""
        groups = services.keys.new_recovery().split("-")
        ask = secrets.randbelow(len(groups))
        self._pending = Pending(operator.id, ask + 1, groups[ask])
        return self._page("recovery", recovery={"groups": groups})

    def _confirm(self, services: Services, operator: User, pending: Pending) -> Response:
        typed = plain(request.form.get("group", "")[:_FORM_CHARS])
        if not hmac.compare_digest(typed.encode(), plain(pending.group).encode()):
            error = WrongPassphraseError("recovery group")
            return self._page("confirm", status=422, error=error, recovery={"ask": pending.ask})
        services.keys.confirm_recovery()
        services.audit.record(operator.id, "recovery-key-confirmed")
        self._pending = None
        return self._go_on(services, operator, begin=True)

    def _waiting_for(self, operator: User) -> Pending | None:
        pending = self._pending
        return pending if pending and pending.user_id == operator.id else None

    # -- what the machine still needs

    def _go_on(self, services: Services, operator: User, *, begin: bool = False) -> Response:
        """`begin`: the account or the recovery key was made just now; else the operator has come back."""
        if not services.keys.status().recovery_confirmed:
            return self._show_recovery(services, operator)
        step = self._later.begin(services) if begin else self._later.at(services)
        return self._show_later(services, step) if step else go("/")

    def _go_later(self, services: Services, operator: User, step: str) -> Response:
        try:
            following, more = self._later.submit(services, operator, step)
        except HakoError as error:
            return self._show_later(services, step, status=error.status, error=error)
        if following:
            return self._show_later(services, following, **more)
        return self._page("done", account={"name": operator.name, "display_name": operator.display_name})

    def _show_later(self, services: Services, step: str, *, status: int = 200, **more: Any) -> Response:
        try:
            context = self._later.shown(services, step, self._frame.language())
        except HakoError as error:
            return self._page(step, status=error.status, **{"error": error, **more})
        return self._page(step, status=status, **{**context, **more})

    # --

    @staticmethod
    def _operator(services: Services) -> User | None:
        visitor = session.current(services)
        is_operator = (
            visitor is not None and visitor.principal.role == "operator" and visitor.principal.via == "session"
        )
        return visitor.user if visitor and is_operator else None

    def _page(self, step: str, *, token: str = "", values: dict[str, str] | None = None, **context: Any) -> Response:
        wish = locales.choose(request.form.get("language"), default=self._frame.language())
        vault = ["vault"] if self._made_vault or self._box.lacks_vault() else []
        return self._frame.page(
            "setup.html",
            step=step,
            order=["language", *vault, "account", "recovery", *self._later.steps(), "done"],
            values={**(values or {}), "token": token},
            min_length=MIN_PASSWORD,
            min_passphrase=_MIN_PASSPHRASE,
            language=wish,
            **context,
        )

    @staticmethod
    def _check_link(where: Where) -> str:
        """The token of a link that may still be used.

        Raises:
            SetupLinkError: wrong, used, or there is somebody already.
        """
        token = request.values.get("token", "")[:_FORM_CHARS]
        if not setup_link.is_valid(where, token):
            raise SetupLinkError("token wrong or used")
        return token


def blueprint(frame: Frame) -> Blueprint:
    """`GET` and `POST /setup`."""
    pages = Blueprint("setup", __name__)
    setup = Setup(frame)
    pages.add_url_rule("/setup", "view", routing.declare(setup.view, routing.PUBLIC), methods=["GET"])
    pages.add_url_rule("/setup", "submit", routing.declare(setup.submit, routing.PUBLIC), methods=["POST"])
    return pages
