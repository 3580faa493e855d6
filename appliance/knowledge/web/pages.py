"""Which records of a WARC file are pages, and what can be read on them. Runs in the jailed child only."""

import io
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from appliance.errors import DocumentError
from appliance.knowledge.extract.contract import Block, ExtractLimits
from appliance.knowledge.extract.dispatch import extract
from appliance.knowledge.extract.html import html_links
from appliance.knowledge.extract.sniff import sniff
from appliance.warc import message, urls
from appliance.warc.message import Answer
from appliance.warc.records import Record, Records, WarcError

Kind = Literal["html", "text", "pdf"]

CONTENT_BYTES: Final = 64 << 20
"""Of one page; one that is longer is listed, and not read."""
TEXT_CHARS: Final = 1 << 20
LINKS: Final = 2000
WORDS_CHARS: Final = 200
TITLE_CHARS: Final = 300
_HEAD_BYTES: Final = 256 << 10
_KINDS: Final[dict[str, Kind]] = {
    "text/html": "html",
    "application/xhtml+xml": "html",
    "text/plain": "text",
    "text/markdown": "text",
    "application/pdf": "pdf",
}
_NAME: Final = "page"
"""A document without a title is called by its name, and a page has none."""
_ENDINGS: Final[dict[Kind, str]] = {"html": "html", "text": "txt", "pdf": "pdf"}
_LIMITS: Final = ExtractLimits(pages=2000, text_bytes=8 << 20)


@dataclass(frozen=True)
class Begun:
    """A record is looked at from now on; `position` in bytes of the file."""

    record: int
    position: int


@dataclass(frozen=True)
class Read:
    """A page. Without blocks it could not be read as text."""

    record: int
    url: str
    at: float
    """Seconds since the epoch; 0 if the record doesn't say."""
    kind: Kind
    title: str
    blocks: tuple[Block, ...]
    links: tuple[tuple[str, str], ...]
    """Plain addresses and their words."""


@dataclass(frozen=True)
class Moved:
    """An address that leads to another one."""

    url: str
    to: str


def walk(records: Records, first: int, unreadable: frozenset[int]) -> Iterator[Begun | Read | Moved]:
    """What the records hold, from the record `first` on; of those in `unreadable` the content isn't opened.

    Raises:
        WarcError: the file is not sound.
    """
    for record in records:
        if record.number < first or record.kind != "response":
            continue
        yield Begun(record.number, records.position)
        url = urls.plain(record.headers.get("warc-target-uri", "").strip("<>"))
        if url is None or not record.headers.get("content-type", "").lower().startswith("application/http"):
            continue
        answer = _answer(record)
        if answer is None:
            continue
        if 300 <= answer.status < 400:
            location = answer.headers.get("location", "")
            to = urls.plain(location, url) if location else None
            if to is not None and to != url:
                yield Moved(url, to)
        elif answer.status == 200 and (kind := _KINDS.get(answer.mime)) is not None:
            yield _page(record, url, kind, None if record.number in unreadable else answer)


def _answer(record: Record) -> Answer | None:
    """None for an answer that isn't one of HTTP. A long body is left away, its head is not."""
    is_long = record.length > CONTENT_BYTES
    block = record.read(_HEAD_BYTES if is_long else record.length)
    try:
        answer = message.parse(block)
    except WarcError:
        return None
    return Answer(answer.status, answer.headers, b"") if is_long else answer


def _page(record: Record, url: str, kind: Kind, answer: Answer | None) -> Read:
    title = ""
    blocks: tuple[Block, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    # One page that can't be read, or not wholly, is no fault of the others.
    with suppress(WarcError, DocumentError):
        body = message.content(answer, CONTENT_BYTES) if answer is not None else b""
        if kind == "html":
            title, links = _links(url, body)
        said, blocks = _content(kind, body)
        title = title or said
    return Read(record.number, url, _seconds(record.headers.get("warc-date", "")), kind, title, blocks, links)


def _content(kind: Kind, body: bytes) -> tuple[str, tuple[Block, ...]]:
    """Title and text."""
    name = f"{_NAME}.{_ENDINGS[kind]}"
    document = extract(io.BytesIO(body), name, _LIMITS, lambda _done, _total: None)
    title = "" if document.title == _NAME else document.title[:TITLE_CHARS]
    blocks = tuple(block for page in document.pages for block in page.blocks)
    return title, blocks if sum(len(block.text) for block in blocks) <= TEXT_CHARS else ()


def _links(url: str, body: bytes) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Title and links, which a page may have without a text."""
    _kind, decoded = sniff(io.BytesIO(body), f"{_NAME}.html")
    if decoded is None:
        return "", ()
    found = html_links(decoded, LINKS)
    base = urls.plain(found.base, url) or url
    links: dict[str, str] = {}
    for address, words in found.links:
        to = urls.plain(address, base)
        if to is not None and to != url and not links.get(to):
            links[to] = words[:WORDS_CHARS]
    return found.title[:TITLE_CHARS], tuple(links.items())


def _seconds(date: str) -> float:
    try:
        return max(datetime.fromisoformat(date[:40]).timestamp(), 0.0)
    except (ValueError, OverflowError, OSError):
        return 0.0
