"""The cookie of a wall display: looked at where the wall is asked for and nowhere else, so it opens nothing else."""

from typing import Final

from flask import Request, Response, request

from appliance.accounts.permissions import Permission, Principal
from appliance.errors import NotSignedInError
from appliance.services import Services
from webui.session import Visitor

_LONGEST_S: Final = 400 * 24 * 3600
"""What browsers keep at most; handed out anew with every opening of the page."""
_SECRET_CHARS: Final = 64


def cookie_name(incoming: Request) -> str:
    """See `session.cookie_name`."""
    return "__Host-hako-wall" if incoming.is_secure else "hako-wall"


def instead_of(services: Services, incoming: Request, visitor: Visitor | None) -> Visitor | None:
    """Who may see the wall: whoever is signed in and may, else the display whose link holds, else as before."""
    if may_see(visitor):
        return visitor
    secret = incoming.cookies.get(cookie_name(incoming), "")
    if not is_secret(secret):
        return visitor
    try:
        link = services.wall_links.resolve(secret)
    except NotSignedInError:
        return visitor
    return Visitor(Principal.of_wall(link.id), None)


def may_see(visitor: Visitor | None) -> bool:
    """Whether the wall is for them."""
    return visitor is not None and Permission.WALL_SEE in visitor.principal.permissions


def is_secret(said: str) -> bool:
    """Whether it could be one at all."""
    return 0 < len(said) <= _SECRET_CHARS


def begin(response: Response, secret: str) -> None:
    """Hand the display its cookie, for as long as browsers keep one."""
    response.set_cookie(
        cookie_name(request),
        secret,
        max_age=_LONGEST_S,
        httponly=True,
        secure=request.is_secure,
        samesite="Lax",
        path="/",
    )


def end(response: Response) -> None:
    """Take a cookie back that opens nothing any more."""
    response.delete_cookie(cookie_name(request), httponly=True, secure=request.is_secure, samesite="Lax", path="/")
