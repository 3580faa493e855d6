"""Who is asking: the admin socket's owner, an API key or a browser's session, as one Principal."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from flask import Request, Response, g, request

from appliance.accounts.permissions import Principal
from appliance.accounts.users import User
from appliance.clock import monotonic
from appliance.config import Settings
from appliance.errors import NotSignedInError
from appliance.services import Services
from webui import connection, locales
from webui.locales import Language

LANGUAGE_COOKIE: Final = "hako-language"
_YEAR_S: Final = 365 * 24 * 3600
_TOKEN_CHARS: Final = 200
_ASK_EVERY_S: Final = 2.0


@dataclass(frozen=True)
class Visitor:
    """A signed-in person with the record behind; no record for the operator on the admin socket."""

    principal: Principal
    user: User | None


def cookie_name(incoming: Request) -> str:
    """The `__Host-` prefix ties the cookie to this origin, which browsers allow over TLS only."""
    return "__Host-hako" if incoming.is_secure else "hako"


def current(services: Services) -> Visitor | None:
    """Who makes this request, or None; asked once per request.

    Raises:
        NotSignedInError: a key was given that is not valid; a cookie beside it doesn't help.
    """
    if "visitor" not in g:
        g.visitor = _identify(services, request)
    visitor: Visitor | None = g.visitor
    return visitor


def demand(services: Services) -> Visitor:
    """Who makes this request.

    Raises:
        NotSignedInError: nobody known.
    """
    visitor = current(services)
    if visitor is None:
        raise NotSignedInError
    return visitor


def revoked(services: Services) -> Callable[[], bool]:
    """A question for long answers, from any thread: has the session or the key of this request ended meanwhile?

    Looks at most every two seconds. What comes over the admin socket never ends.
    """
    visitor = current(services)
    if visitor is None or visitor.principal.via == "socket":
        return lambda: False
    session_id, key = visitor.principal.session_id, api_key(request)
    if session_id is not None:
        return _Ended(lambda: services.sessions.is_alive(session_id))
    return _Ended(lambda: key is not None and services.api_keys.is_alive(key))


class _Ended:
    """Whether a way in has ended; once it has, it stays so."""

    def __init__(self, is_alive: Callable[[], bool]) -> None:
        self._is_alive = is_alive
        self._next = monotonic() + _ASK_EVERY_S
        self._ended = False

    def __call__(self) -> bool:
        if not self._ended and monotonic() >= self._next:
            self._next = monotonic() + _ASK_EVERY_S
            self._ended = not self._is_alive()
        return self._ended


def _identify(services: Services, incoming: Request) -> Visitor | None:
    if connection.is_unix(incoming.environ):
        if connection.is_local_admin(incoming.environ):
            return Visitor(Principal.system_operator(), None)
        raise NotSignedInError("another account on the admin socket")
    key = api_key(incoming)
    if key is not None:
        user, known = services.api_keys.resolve(key)
        return Visitor(Principal.of_key(user, known.id, known.scope), user)
    token = incoming.cookies.get(cookie_name(incoming))
    if not token or len(token) > _TOKEN_CHARS:
        return None
    try:
        user, session_id = services.sessions.resume(token)
    except NotSignedInError:
        return None
    return Visitor(Principal.of(user, session_id=session_id), user)


def api_key(incoming: Request) -> str | None:
    """The key of a programmatic client, from either header; both are judged alike.

    Raises:
        NotSignedInError: a header that holds no usable key, or two different keys.
    """
    given: set[str] = set()
    authorization = incoming.headers.get("Authorization")
    if authorization is not None:
        scheme, _, value = authorization.partition(" ")
        given.add(value.strip() if scheme.lower() == "bearer" else "")
    own = incoming.headers.get("X-Api-Key")
    if own is not None and (own.strip() or not given):  # some clients send an empty one beside the other header
        given.add(own.strip())
    if not given:
        return None
    if len(given) > 1 or not all(0 < len(key) <= _TOKEN_CHARS for key in given):
        raise NotSignedInError("api key headers")
    return given.pop()


def language(settings: Settings) -> Language:
    """The reader's language: a person's own choice, the browser's cookie, its header, the box's."""
    visitor: Visitor | None = g.get("visitor")
    own = visitor.user.language if visitor and visitor.user else None
    return locales.choose(
        own,
        request.cookies.get(LANGUAGE_COOKIE),
        accept=request.headers.get("Accept-Language", ""),
        default=settings.language,
    )


def begin(response: Response, token: str) -> None:
    """Hand the browser its session; gone when the browser closes, and ended by the server's own limits."""
    response.set_cookie(cookie_name(request), token, httponly=True, secure=request.is_secure, samesite="Lax", path="/")


def end(response: Response) -> None:
    """Take the session cookie back."""
    response.delete_cookie(cookie_name(request), httponly=True, secure=request.is_secure, samesite="Lax", path="/")


def remember_language(response: Response, wish: Language) -> None:
    """Keep the language for pages before signing in."""
    response.set_cookie(
        LANGUAGE_COOKIE, wish, max_age=_YEAR_S, httponly=True, secure=request.is_secure, samesite="Lax", path="/"
    )
