"""Addresses of pages in one form, so that the same page is found under whatever way it was linked."""

import re
from typing import Final
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

LONGEST: Final = 2000
_PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(r"[a-z0-9._:-]{1,253}")
_KEPT: Final = "%/:?#[]@!$&'()*+,;=-._~"


def plain(url: str, base: str = "") -> str | None:
    """The address in one form, without what comes after `#`; None for what is no address of a web page.

    `base` is the address of the page that links to it.
    """
    if len(url) > LONGEST:
        return None
    try:
        parts = urlsplit(urljoin(base, url.strip()))
        host, port = (parts.hostname or "").encode("idna").decode("ascii").lower(), parts.port
    except (ValueError, UnicodeError):
        return None
    if parts.scheme not in _PORTS or not _HOST.fullmatch(host) or parts.username is not None:
        return None
    place = f"[{host}]" if ":" in host else host
    if port not in (None, _PORTS[parts.scheme]):
        place += f":{port}"
    try:
        path, query = quote(_without_dots(parts.path), _KEPT), quote(parts.query, _KEPT)
    except UnicodeError:
        return None
    made = urlunsplit((parts.scheme, place, path, query, ""))
    return made if len(made) <= LONGEST else None


def _without_dots(path: str) -> str:
    """As browsers do it: `..` goes up, and never above the top."""
    kept: list[str] = []
    names = path.split("/")[1:] or [""]
    for name in names:
        if name == "..":
            del kept[-1:]
        elif name != ".":
            kept.append(name)
    return "/" + "/".join(kept) + ("/" if names[-1] in (".", "..") and kept else "")


def place_of(url: str) -> str:
    """Host and port of a plain address; the same for http and https where both have their own port."""
    return urlsplit(url).netloc
