"""Makes a web snapshot of the pages of a ZIM file, as if they had been captured: WARC files and a manifest."""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

import appliance
from appliance import clock, durable
from appliance.bundle.publish.web.zim import Entry, Zim
from appliance.errors import BadInputError, CaptureEmptyError, CaptureOtherError
from appliance.warc import urls
from appliance.warc.manifest import FILE_NAME, Manifest, Stopped, Title, file_of, line_of
from appliance.warc.writer import Exchange, WarcWriter

_PAGES: Final = frozenset({"text/html", "application/xhtml+xml", "text/plain", "application/pdf"})
_CONTENT: Final = {True: ("C",), False: ("A", "I", "-")}
"""Namespaces with contents, by whether the file has the new ones."""
_LEADS: Final = 5
"""Redirects in a row."""
_TOLD: Final = 500
_KEPT: Final = "/-_.!~*'()"
"""What addresses within such files leave as it is."""
_WHOLE_SITES: Final = ("zimit", "warc2zim")
"""Programs that put the host of each page into its path."""


@dataclass(frozen=True)
class ZimWish:
    """`site`: the address that all paths are below; what the file says of its source when empty. Sizes in bytes."""

    name: str
    licence: str
    terms: str = ""
    by: str = ""
    site: str = ""
    title_ja: str = ""
    title_en: str = ""
    pages: int = 100_000
    total_bytes: int = 2 << 30
    file_bytes: int = 20 << 20


def convert(file: Path, folder: Path, wish: ZimWish, tell: Callable[[int], None] = lambda _pages: None) -> Manifest:
    """Make `<folder>/<wish.name>`; returns its manifest. `tell` is called with the pages that are done.

    Raises:
        ZimDamagedError, ZimPackedError: the file can't be read.
        BadInputError: it doesn't say whose pages they are, and nor does the wish (`site`).
        CaptureOtherError: there is something in its place.
        CaptureEmptyError: there is not one page in it.
        DiskFullError: no room.
    """
    inside, partly = folder / wish.name, folder / f".{wish.name}.zim"
    if inside.exists():
        raise CaptureOtherError("the folder is not empty", name=wish.name)
    shutil.rmtree(partly, ignore_errors=True)
    durable.folder(partly)
    try:
        with file.open("rb") as opened:
            manifest = _Run(Zim(opened), partly, wish, tell).go(_digest(file))
        durable.replace(partly / FILE_NAME, manifest.model_dump_json(indent=1).encode() + b"\n")
        partly.rename(inside)
        durable.sync(folder)
    finally:
        shutil.rmtree(partly, ignore_errors=True)
    return manifest


class _Run:
    """One file on its way."""

    def __init__(self, zim: Zim, folder: Path, wish: ZimWish, tell: Callable[[int], None]) -> None:
        self._zim, self._folder, self._wish, self._tell = zim, folder, wish, tell
        self._site = _site(zim, wish)
        self._at = _date(zim.metadata("Date"))
        self._namespaces = _CONTENT[zim.is_new]
        self._main = self._target(zim.entry(zim.main)) if zim.main is not None else None
        self._left = 0
        self._size = 0

    def go(self, digest: str) -> Manifest:
        """All pages, then the addresses that lead to them."""
        wish, began = self._wish, int(clock.now())
        about = [
            ("software", f"Hako {appliance.__version__}"),
            ("format", "WARC File Format 1.1"),
            ("operator", wish.by),
            ("description", f"pages of a ZIM file with SHA-256 {digest}"),
        ]
        chosen, stopped = self._chosen()
        kept: dict[int, str] = {}
        with WarcWriter(self._folder, wish.name, about) as writer:
            for entry in sorted(chosen, key=lambda each: (each.cluster, each.blob)):
                if self._size >= wish.total_bytes:
                    stopped = "size"
                    break
                if url := self._write(writer, entry):
                    kept[entry.number] = url
                    if len(kept) % _TOLD == 0:
                        self._tell(len(kept))
            if not kept:
                raise CaptureEmptyError(name=wish.name)
            for url, to in self._moved(kept):
                writer.write(self._answer(url, f"301 Moved\r\nLocation: {to}", b""), push=False)
            writer.push()
        first = (kept.get(self._main.number) if self._main else None) or next(iter(kept.values()))
        title = self._zim.metadata("Title") or wish.name
        return Manifest(
            format=1,
            name=wish.name,
            title=Title(
                ja=line_of(wish.title_ja or wish.title_en or title), en=line_of(wish.title_en or wish.title_ja or title)
            ),
            starts=(first,),
            began=began,
            ended=max(int(clock.now()), began),
            by=line_of(wish.by),
            software=f"Hako {appliance.__version__}",
            user_agent="",
            licence=line_of(wish.licence),
            terms=line_of(wish.terms),
            robots={},
            depth=0,
            stopped=stopped,
            pages=len(kept),
            left_out={"size": self._left} if self._left else {},
            files={path.name: file_of(path) for path in sorted(self._folder.glob("*.warc.gz"))},
        )

    def _chosen(self) -> tuple[list[Entry], Stopped]:
        """Pages in the order of the directory, the first one of the file before all others."""
        main = self._main
        chosen = {main.number: main} if main is not None and self._is_page(main) else {}
        for entry in self._zim.entries():
            if entry.namespace in self._namespaces and self._is_page(entry):
                if len(chosen) >= self._wish.pages and entry.number not in chosen:
                    return list(chosen.values()), "pages"
                chosen[entry.number] = entry
        return list(chosen.values()), ""

    def _is_page(self, entry: Entry) -> bool:
        return entry.target is None and _plain(entry.mime) in _PAGES

    def _target(self, entry: Entry) -> Entry | None:
        """Where redirects end."""
        for _ in range(_LEADS):
            if entry.target is None:
                return entry
            entry = self._zim.entry(entry.target)
        return None

    def _write(self, writer: WarcWriter, entry: Entry) -> str:
        """The page's address; empty where it was left out."""
        url = self._url(entry)
        body = self._zim.content(entry, self._wish.file_bytes) if url else None
        if body is None:
            self._left += 1
            return ""
        self._size += len(body)
        writer.write(self._answer(url, f"200 OK\r\nContent-Type: {_plain(entry.mime)}", body), push=False)
        return url

    def _moved(self, kept: dict[int, str]) -> Iterator[tuple[str, str]]:
        """As many other addresses of pages as there may be pages."""
        room = self._wish.pages
        for entry in self._zim.entries():
            if not room:
                return
            if entry.target is not None and entry.namespace in self._namespaces:
                found = self._target(entry)
                to, url = kept.get(found.number, "") if found else "", self._url(entry)
                if to and url and url != to:
                    room -= 1
                    yield url, to

    def _url(self, entry: Entry) -> str:
        path = entry.path if self._zim.is_new else f"{entry.namespace}/{entry.path}"
        return urls.plain(self._site + quote(path, _KEPT)) or ""

    def _answer(self, url: str, head: str, body: bytes) -> Exchange:
        return Exchange(url, self._at, "", b"", f"HTTP/1.1 {head}\r\n\r\n".encode(), body)


def _site(zim: Zim, wish: ZimWish) -> str:
    """The address that all paths are below, with its slash."""
    said = wish.site
    if not said and zim.metadata("Scraper").lower().startswith(_WHOLE_SITES):
        return "https://"
    if not said:
        said = zim.metadata("Source")
        said = said if "://" in said else f"https://{said}"
    plain = urls.plain(said)
    if plain is None:
        raise BadInputError("whose pages they are", field="site")
    return plain.partition("?")[0].rstrip("/") + "/"


def _plain(mime: str) -> str:
    return mime.partition(";")[0].strip()


def _date(said: str) -> float:
    try:
        return datetime.fromisoformat(said[:10]).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return clock.now()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
