"""What a page leads to and consists of, and whether it asks robots to leave it alone."""

import re
from dataclasses import dataclass
from typing import Final

from selectolax.lexbor import LexborHTMLParser

from appliance.warc import urls

LONGEST: Final = 8 << 20
"""Bytes of a page that are looked through for links."""
_CHARSET: Final = re.compile(r"charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_CSS_URL: Final = re.compile(r"url\(\s*[\"']?([^\"')\s]{1,2000})[\"']?\s*\)|@import\s+[\"']([^\"']{1,2000})[\"']")
_REFRESH: Final = re.compile(r"\s*[0-9.]*\s*[;,]\s*url\s*=\s*[\"']?([^\"']{1,2000})", re.IGNORECASE)
_PAGES: Final = (("a[href]", "href"), ("area[href]", "href"), ("iframe[src]", "src"), ("frame[src]", "src"))
_PARTS: Final = (("img[src]", "src"), ("link[rel~=stylesheet][href]", "href"), ("link[rel~=icon][href]", "href"))


@dataclass(frozen=True)
class Found:
    """Plain addresses, each once, in the page's order."""

    title: str
    pages: tuple[str, ...]
    parts: tuple[str, ...]
    """Pictures and style sheets."""
    may_keep: bool
    may_follow: bool


def of_page(body: bytes, url: str, content_type: str, robots: str) -> Found:
    """What an HTML page says; `robots` is the answer's `X-Robots-Tag`."""
    tree = LexborHTMLParser(_text(body[:LONGEST], content_type))
    base = _attribute(tree, "base[href]", "href")
    base = urls.plain(base, url) or url if base else url
    metas = [
        robots,
        *(node.attributes.get("content") or "" for node in tree.css("meta") if _is_robots(node.attributes)),
    ]
    said = {word.strip().lower() for meta in metas for word in meta.split(",")}
    title = tree.css_first("title")
    refresh = _REFRESH.match(_attribute(tree, "meta[http-equiv=refresh i]", "content"))
    pages = [_plain(refresh[1], base)] if refresh else []
    pages += [_plain(node.attributes.get(name) or "", base) for where, name in _PAGES for node in tree.css(where)]
    parts = [_plain(node.attributes.get(name) or "", base) for where, name in _PARTS for node in tree.css(where)]
    return Found(
        " ".join(title.text().split())[:300] if title is not None else "",
        tuple(dict.fromkeys(page for page in pages if page)),
        tuple(dict.fromkeys(part for part in parts if part)),
        may_keep=not said & {"noarchive", "none"},
        may_follow=not said & {"nofollow", "none"},
    )


def of_style(body: bytes, url: str) -> tuple[str, ...]:
    """What a style sheet is made of."""
    text = body[:LONGEST].decode("utf-8", "replace")
    found = (_plain(one or other, url) for one, other in _CSS_URL.findall(text))
    return tuple(dict.fromkeys(part for part in found if part))


def _is_robots(attributes: dict[str, str | None]) -> bool:
    return (attributes.get("name") or "").strip().lower() == "robots"


def _attribute(tree: LexborHTMLParser, where: str, name: str) -> str:
    node = tree.css_first(where)
    return (node.attributes.get(name) or "") if node is not None else ""


def _plain(link: str, base: str) -> str:
    return urls.plain(link, base) or "" if link else ""


def _text(body: bytes, content_type: str) -> str:
    """Addresses are nearly always ASCII, so a wrong guess only spoils a title."""
    said = _CHARSET.search(content_type) or _CHARSET.search(body[:2048].decode("latin-1"))
    try:
        return body.decode(said[1] if said else "utf-8", "replace").replace("\0", "")
    except LookupError:
        return body.decode("utf-8", "replace").replace("\0", "")
