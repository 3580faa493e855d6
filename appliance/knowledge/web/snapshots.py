"""The web snapshots of this box: brought in out of sight, shown at once, listed, looked up, removed.

The files lie in the blob store, the pages' text in the database: both sealed. Everybody with an account may read them.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import apsw

from appliance import clock
from appliance.errors import ConflictError, NotFoundError, WarcDamagedError, WarcOversizeError
from appliance.knowledge.normalise import search_form
from appliance.knowledge.web.pages import Moved, Read
from appliance.knowledge.web.reading import WarcReader
from appliance.storage.blobs import BlobStore
from appliance.storage.database import Database
from appliance.warc.manifest import Manifest

PAGE_OF_LIST: Final = 100
"""Pages of a snapshot that are told at once."""
_AT_ONCE: Final = 50
_MOST_PAGES: Final = 100_000
_MOST_CHARS: Final = 512 << 20
_SNIPPET: Final = 160
_MOST_WORDS: Final = 20

Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Snapshot:
    """A snapshot as a list shows it; `size` in bytes, times in seconds since the epoch."""

    id: str
    digest: str
    """SHA-256 of its manifest."""
    manifest: Manifest
    pages: int
    size: int
    taken_by: str
    taken_at: float


@dataclass(frozen=True)
class PageLine:
    """A page as a list shows it."""

    number: int
    url: str
    title: str
    kind: str
    has_text: bool
    snippet: str


@dataclass(frozen=True)
class Link:
    """Where a page leads to; `number` of the page within the snapshot, None for what is not in it."""

    url: str
    words: str
    number: int | None


@dataclass(frozen=True)
class Page:
    """A page as text; offsets of blocks are characters into `text`."""

    number: int
    url: str
    title: str
    kind: str
    captured_at: float
    text: str
    blocks: list[dict[str, Any]]
    """`kind`, `level`, `start`, `end`."""
    links: tuple[Link, ...]


_SNAPSHOT: Final = "select id, digest, manifest, pages, size, taken_by, taken_at from web_snapshots where shown = 1"


class Snapshots:
    """Safe to share between threads; the worker brings in, web lists and removes."""

    def __init__(self, database: Database, blobs: BlobStore, reader: WarcReader) -> None:
        self._database, self._blobs, self._reader = database, blobs, reader

    # -- bringing in

    def has(self, digest: str) -> bool:
        """Whether the snapshot with this manifest can be seen here."""
        with self._database.read() as connection:
            row = connection.execute("select 1 from web_snapshots where digest = ? and shown = 1", (digest,)).get
        return row is not None

    def bring(self, bundle: str, digest: str, manifest: Manifest, folder: Path, tell: Tell) -> None:
        """Read and keep the snapshot in `folder`, out of sight: `show` lets it be seen.

        `tell(done, total)` counts bytes, and may raise to stop it; nothing is kept then.

        Raises:
            WarcDamagedError, WarcOversizeError: one of its files; nothing was kept.
            DiskFullError: no room; nothing was kept.
        """
        snapshot_id, size = clock.new_id("web"), sum(file.size for file in manifest.files.values())
        with self._database.write() as connection:
            connection.execute(
                "insert into web_snapshots (id, digest, bundle, name, manifest, size) values (?, ?, ?, ?, ?, ?)",
                (snapshot_id, digest, bundle, manifest.name, manifest.model_dump_json(), size),
            )
        try:
            incoming = _Incoming(self._database, snapshot_id)
            done = 0
            for name, file in sorted(manifest.files.items()):
                with _opened(folder / name) as opened:
                    self._read(opened, name, incoming, lambda position, done=done: tell(done + position, size))  # type: ignore[misc]
                done += file.size
            incoming.finish(manifest.name)
            for name in sorted(manifest.files):
                tell(size, size)
                self._keep(snapshot_id, name, folder / name)
        except BaseException:
            self.forget(bundle)
            raise

    def _read(self, opened: int, name: str, incoming: "_Incoming", tell: Callable[[int], None]) -> None:
        for found in self._reader.read(opened, name, tell):
            if isinstance(found, Moved):
                incoming.moved[found.url] = found.to
            elif not incoming.add(found):
                raise WarcOversizeError("pages", name=name)

    def _keep(self, snapshot_id: str, name: str, path: Path) -> None:
        with path.open("rb") as file:
            blob = self._blobs.put(file)
        with self._database.write() as connection:
            if not self._blobs.holds(connection, blob.id):  # the last one that used the same bytes was just removed
                raise ConflictError(name=name)
            connection.execute(
                "insert into web_files (snapshot_id, name, blob_id, size) values (?, ?, ?, ?)",
                (snapshot_id, name, blob.id, blob.size),
            )

    def hidden(self, bundle: str) -> list[tuple[str, str, str]]:
        """The snapshots of a bundle that are brought in and not seen yet: id, name, digest."""
        with self._database.read() as connection:
            rows: list[tuple[Any, ...]] = connection.execute(
                "select id, name, digest from web_snapshots where bundle = ? and shown = 0 order by name", (bundle,)
            ).fetchall()
        return [(row[0], row[1], row[2]) for row in rows]

    def show(self, bundle: str, by: str) -> None:
        """Let the snapshots of a bundle be seen, all at once."""
        with self._database.write() as connection:
            connection.execute(
                "update web_snapshots set shown = 1, taken_by = ?, taken_at = ? where bundle = ? and shown = 0"
                " and digest not in (select digest from web_snapshots where shown = 1)",
                (by, clock.now(), bundle),
            )

    def forget(self, bundle: str) -> None:
        """Remove what was brought in of a bundle and never seen."""
        for snapshot_id, _name, _digest in self.hidden(bundle):
            self._erase(snapshot_id)

    # -- looking

    def list(self) -> Sequence[Snapshot]:
        """All that can be seen, newest capture first."""
        with self._database.read() as connection:
            rows: list[tuple[Any, ...]] = connection.execute(f"{_SNAPSHOT} order by taken_at desc, id").fetchall()
        return sorted(map(_snapshot, rows), key=lambda one: one.manifest.ended, reverse=True)

    def get(self, snapshot_id: str) -> Snapshot:
        """Raises NotFoundError."""
        with self._database.read() as connection:
            row = connection.execute(f"{_SNAPSHOT} and id = ?", (snapshot_id,)).fetchone()
        if row is None:
            raise NotFoundError(snapshot_id)
        return _snapshot(row)

    def pages(self, snapshot_id: str, query: str = "", after: int = 0) -> tuple[Sequence[PageLine], int]:
        """Up to `PAGE_OF_LIST` pages behind the number `after` that hold every word of `query`, and how many do in all.

        Raises:
            NotFoundError: no such snapshot.
        """
        self.get(snapshot_id)
        words = search_form(query).split()[:_MOST_WORDS]
        having = "".join(" and instr(plain, ?) > 0" for _ in words)
        with self._database.read() as connection:
            total: int = connection.execute(
                f"select count(*) from web_pages where snapshot_id = ?{having}", (snapshot_id, *words)
            ).get
            rows: list[tuple[Any, ...]] = connection.execute(
                f"select number, url, title, kind, text from web_pages where snapshot_id = ?{having} and number > ?"
                " order by number limit ?",
                (snapshot_id, *words, after, PAGE_OF_LIST),
            ).fetchall()
        return [
            PageLine(number, url, title, kind, bool(text), _snippet(text, words))
            for number, url, title, kind, text in rows
        ], total

    def page(self, snapshot_id: str, number: int) -> Page:
        """Raises NotFoundError."""
        self.get(snapshot_id)
        with self._database.read() as connection:
            row = connection.execute(
                "select number, url, title, kind, captured_at, text, blocks, links from web_pages"
                " where snapshot_id = ? and number = ?",
                (snapshot_id, min(number, _MOST_PAGES + 1)),
            ).fetchone()
            if row is None:
                raise NotFoundError(f"{snapshot_id} page {number}")
            links = tuple(Link(url, words, _number(connection, snapshot_id, url)) for url, words in json.loads(row[7]))
        blocks = [dict(zip(("kind", "level", "start", "end"), block, strict=True)) for block in json.loads(row[6])]
        number, url, title, kind, captured_at, text = row[:6]
        return Page(number, url, title, kind, captured_at, text, blocks, links)

    def remove(self, snapshot_id: str) -> Snapshot:
        """Erase a snapshot; returns what it was. Raises NotFoundError."""
        found = self.get(snapshot_id)
        self._erase(snapshot_id)
        return found

    def _erase(self, snapshot_id: str) -> None:
        with self._database.write() as connection:
            blobs = [row[0] for row in connection.execute(
                "select blob_id from web_files where snapshot_id = ?", (snapshot_id,)
            )]  # fmt: skip
            connection.execute("delete from web_snapshots where id = ?", (snapshot_id,))
        for blob_id in blobs:
            self._blobs.delete(blob_id)


class _Incoming:
    """Pages on their way in, written some at a time. The first one with an address counts."""

    def __init__(self, database: Database, snapshot_id: str) -> None:
        self._database, self._snapshot_id = database, snapshot_id
        self._rows: list[tuple[Any, ...]] = []
        self._numbers: dict[str, int] = {}
        self._chars = 0
        self.moved: dict[str, str] = {}
        """Addresses that lead to another one."""

    def add(self, page: Read) -> bool:
        """Take a page in; False if there are too many, or too much text."""
        if page.url in self._numbers:
            return True
        number = len(self._numbers) + 1
        self._numbers[page.url] = number
        text, blocks = _laid_out(page)
        self._chars += len(text)
        plain = search_form(f"{page.title}\n{text}")
        row = (page.url, page.title, page.kind, page.at, text, json.dumps(blocks), json.dumps(page.links), plain)
        self._rows.append((self._snapshot_id, number, *row))
        if len(self._rows) >= _AT_ONCE:
            self._write()
        return number <= _MOST_PAGES and self._chars <= _MOST_CHARS

    def finish(self, name: str) -> None:
        """Write the rest, and which address leads to which page. Raises WarcDamagedError if there is no page at all."""
        if not self._numbers:
            raise WarcDamagedError("no pages", name=name)
        self._write()
        ends = ((url, self._end(to)) for url, to in self.moved.items() if url not in self._numbers)
        known = [*self._numbers.items(), *((url, number) for url, number in ends if number is not None)]
        with self._database.write() as connection:
            connection.executemany(
                "insert into web_addresses (snapshot_id, url, number) values (?, ?, ?)",
                ((self._snapshot_id, url, number) for url, number in known),
            )
            connection.execute(
                "update web_snapshots set pages = ? where id = ?", (len(self._numbers), self._snapshot_id)
            )

    def _end(self, url: str) -> int | None:
        for _ in range(10):
            if url in self._numbers:
                return self._numbers[url]
            url = self.moved.get(url, "")
        return None

    def _write(self) -> None:
        with self._database.write() as connection:
            connection.executemany(
                "insert into web_pages (snapshot_id, number, url, title, kind, captured_at, text, blocks, links, plain)"
                " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                self._rows,
            )
        self._rows.clear()


def _laid_out(page: Read) -> tuple[str, list[tuple[str, int, int, int]]]:
    """The text, and its blocks as (kind, level, start, end)."""
    blocks: list[tuple[str, int, int, int]] = []
    pieces: list[str] = []
    length = 0
    for block in page.blocks:
        body = block.text.strip()
        if not body:
            continue
        if pieces:
            pieces.append("\n\n")
            length += 2
        pieces.append(body)
        blocks.append((block.kind, block.level, length, length + len(body)))
        length += len(body)
    return "".join(pieces), blocks


def _number(connection: apsw.Connection, snapshot_id: str, url: str) -> int | None:
    number: int | None = connection.execute(
        "select number from web_addresses where snapshot_id = ? and url = ?", (snapshot_id, url)
    ).get
    return number


def _snapshot(row: Sequence[Any]) -> Snapshot:
    return Snapshot(row[0], row[1], Manifest.model_validate_json(row[2]), *row[3:])


def _snippet(text: str, words: Sequence[str]) -> str:
    """The words around the first hit, or the beginning; a search form of another length only shifts it a little."""
    place = max(search_form(text).find(words[0]), 0) if words else 0
    start = max(place - _SNIPPET // 4, 0)
    return " ".join(text[start : start + _SNIPPET].split())


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield opened
    finally:
        os.close(opened)
