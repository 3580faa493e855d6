"""What every request and response goes through: host, size and cross-site checks, and the headers."""

import socket
from typing import Final
from urllib.parse import urlsplit

from flask import Flask, Request, Response, request

from appliance.config import Settings, is_address
from appliance.errors import CrossSiteError, TooLargeError, WrongHostError
from appliance.machine import kept
from webui import connection

CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types hako dompurify svelte-trusted-html"
)
DOWNLOAD_CSP: Final = "default-src 'none'; sandbox; frame-ancestors 'none'"
HEADERS: Final = {
    "Content-Security-Policy": CSP,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
HSTS: Final = "max-age=31536000"
SMALL_BODY: Final = 64 * 1024
"""What a stranger may send: the server has read it before the request gets a thread."""
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITE: Final = frozenset({"same-origin", "none"})
_FOR_KNOWN: Final = ("/api/", "/v1/", "/v2/", "/rerank")
"""Where a body is read only after it is known who sends it."""


def install(app: Flask, settings: Settings) -> None:
    """Put the checks before and the headers after every request of `app`."""
    hosts = own_names(settings)
    limit = settings.limits.body_mb
    app.config["MAX_CONTENT_LENGTH"] = limit * 1024 * 1024
    app.config["MAX_FORM_MEMORY_SIZE"] = 64 * 1024
    app.config["MAX_FORM_PARTS"] = 64

    def check() -> None:
        if not connection.is_unix(request.environ):
            check_host(request, hosts)
            check_site(request)
        if not request.path.startswith(_FOR_KNOWN):
            check_small(request)

    def finish(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if request.is_secure:
            response.headers["Strict-Transport-Security"] = HSTS
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    app.before_request(check)
    app.after_request(finish)


def own_names(settings: Settings) -> frozenset[str]:
    """The names under which this box may be addressed; addresses in figures are always its own."""
    hostname = socket.gethostname().lower()
    return frozenset({"localhost", hostname, f"{hostname}.local", settings.web.host.lower(), *settings.web.names})


def check_host(incoming: Request, names: frozenset[str]) -> None:
    """Refuse a foreign name that was made to resolve to this box (DNS rebinding).

    Raises:
        WrongHostError: the Host header is missing, broken, or names another machine.
    """
    host = incoming.environ.get("HTTP_HOST", "")
    try:
        name = urlsplit("//" + host).hostname or ""
    except ValueError:
        name = ""
    name = name.removesuffix(".")
    if name in names or is_address(name) or _is_chosen(name):
        return
    raise WrongHostError("host header")


def _is_chosen(name: str) -> bool:
    """Whether it is the name that an operator has given the machine since this process began."""
    chosen = kept.read().name
    return bool(chosen) and name in (chosen, f"{chosen}.local")


def check_site(incoming: Request) -> None:
    """Refuse a state-changing request that another site made in this person's name.

    Browsers tell by Sec-Fetch-Site, older ones by Origin; a client that sends neither is no browser. A
    request that carries only an API key can't be forged by another site, so it is not judged here.

    Raises:
        CrossSiteError: the request is another site's.
    """
    if incoming.method in _SAFE:
        return
    has_key = "Authorization" in incoming.headers or "X-Api-Key" in incoming.headers
    if has_key and not incoming.cookies:
        return
    site = incoming.headers.get("Sec-Fetch-Site")
    if site is not None:
        if site not in _OWN_SITE:
            raise CrossSiteError(f"sec-fetch-site {site[:20]}")
        return
    origin = incoming.headers.get("Origin")
    if origin is not None and not _same_host(origin, incoming.host):
        raise CrossSiteError("origin")


def check_small(incoming: Request) -> None:
    """Refuse a body that would hold up the thread which reads it, where anybody may send one.

    Raises:
        TooLargeError: over 64 KiB, or of a length that isn't told.
    """
    length = incoming.content_length
    if (length is None and "Transfer-Encoding" in incoming.headers) or (length or 0) > SMALL_BODY:
        raise TooLargeError(limit_mb=1)


def _same_host(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


def check_length(incoming: Request, limit_mb: int, slack: int = 0) -> None:
    """Refuse a body that says itself that it is too large, before reading it.

    Raises:
        TooLargeError: over the limit.
    """
    if (incoming.content_length or 0) > limit_mb * 1024 * 1024 + slack:
        raise TooLargeError(limit_mb=limit_mb)
