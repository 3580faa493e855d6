"""WARC files of a few pages, sound or broken in any way, and the folder of a snapshot as a publisher makes it."""

import gzip
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from appliance.errors import WarcDamagedError
from appliance.knowledge.web import pages
from appliance.knowledge.web.pages import Begun, Moved, Read
from appliance.warc.manifest import FILE_NAME, Manifest, Title, WarcFile
from appliance.warc.records import Records, WarcError
from appliance.warc.writer import Exchange, WarcWriter

SITE = "http://city.example"
AT = 1_790_000_000.0
PAGES = {
    "/": (
        "text/html",
        (
            "<!doctype html><title>City hall</title><body><h1>City hall</h1><p>Opening hours: nine to five.</p>"
            "<p><a href='/bins#top'>Waste</a> <a href='old'>Old page</a> <a href='http://other.example/'>Elsewhere</a>"
            "<a href='javascript:alert(1)'>Trap</a></p><script>alert(1)</script>"
        ),
    ),
    "/bins": ("text/html", "<!doctype html><title>ごみの出し方</title><h1>ごみ</h1><p>燃えるごみは火曜日です。</p>"),
    "/rules.txt": ("text/plain", "Keep your dog on a lead.\n"),
    "/logo.png": ("image/png", "\x89PNG"),
}


def exchange(path: str, mime: str, body: bytes, status: str = "200 OK", **fields: str) -> Exchange:
    """One request and its answer."""
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    head = f"HTTP/1.1 {status}\r\nContent-Type: {mime}\r\n{more}\r\n".encode()
    request = f"GET {path} HTTP/1.1\r\nHost: city.example\r\n\r\n".encode()
    return Exchange(SITE + path, AT, "203.0.113.1", request, head, body)


def site() -> list[Exchange]:
    """A small web site."""
    found = [exchange(path, mime, text.encode()) for path, (mime, text) in PAGES.items()]
    return [*found, exchange("/old", "text/html", b"", "301 Moved Permanently", Location="/bins")]


def write(folder: Path, *exchanges: Exchange, name: str = "city") -> Path:
    """A WARC file as the publisher's side writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    with WarcWriter(folder, name, [("software", "test")]) as writer:
        for each in exchanges or site():
            writer.write(each)
    return folder / f"{name}-00000.warc.gz"


def record(block: bytes, *, length: int | None = None, **fields: str) -> bytes:
    """One bare record, its length as it is or as a liar says it."""
    more = {name.replace("_", "-"): value for name, value in fields.items()}
    said = {"WARC-Type": "response", "Content-Type": "application/http; msgtype=response", **more}
    lines = "".join(f"{name}: {value}\r\n" for name, value in said.items())
    size = len(block) if length is None else length
    return f"WARC/1.0\r\n{lines}Content-Length: {size}\r\n\r\n".encode() + block + b"\r\n\r\n"


def answer(body: bytes, mime: str = "text/html", **fields: str) -> bytes:
    """A block of HTTP."""
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 200 OK\r\nContent-Type: {mime}\r\n{more}\r\n".encode() + body


def packed(records: bytes) -> bytes:
    return gzip.compress(records, mtime=0)


def snapshot(folder: Path, *exchanges: Exchange, name: str = "city", content: bytes = b"", **changes: Any) -> Path:
    """The folder of a snapshot below `folder`, as bundles carry it; `content` instead of a sound file."""
    inside = folder / name
    file = write(inside, *exchanges, name=name)
    if content:
        file.write_bytes(content)
    data = file.read_bytes()
    said: dict[str, Any] = {
        "format": 1,
        "name": name,
        "title": Title(ja="市役所", en="City hall"),
        "starts": (f"{SITE}/",),
        "began": int(AT),
        "ended": int(AT) + 60,
        "by": "Carol",
        "software": "Hako",
        "user_agent": "hako-capture",
        "licence": "CC-BY-4.0",
        "terms": f"{SITE}/terms",
        "robots": {"city.example": "none"},
        "depth": 1,
        "pages": 3,
        "files": {file.name: WarcFile(sha256=hashlib.sha256(data).hexdigest(), size=len(data))},
    }
    manifest = Manifest.model_validate({**said, **changes})
    (inside / FILE_NAME).write_text(manifest.model_dump_json(indent=1))
    return inside


class OpenReader:
    """Reads WARC files in this very process: where a test is not about the jail, which takes seconds to start."""

    def read(self, file: int, name: str, tell: Callable[[int], None]) -> Iterator[Read | Moved]:
        os.lseek(file, 0, os.SEEK_SET)
        with open(file, "rb", closefd=False) as source:
            try:
                for found in pages.walk(Records(source), 0, frozenset()):
                    if isinstance(found, Begun):
                        tell(found.position)
                    else:
                        yield found
            except WarcError as error:
                raise WarcDamagedError(str(error), name=name) from error
