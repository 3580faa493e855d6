"""Writes WARC/1.1 files, each record a gzip member of its own, pushed to the disk before it counts."""

import base64
import gzip
import hashlib
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from appliance import durable
from appliance.closing import Closing

FILE_BYTES: Final = 256 << 20
"""After which the next file is begun."""
_LEVEL: Final = 6
_HTTP_REQUEST: Final = "application/http; msgtype=request"
_HTTP_RESPONSE: Final = "application/http; msgtype=response"


@dataclass(frozen=True)
class Exchange:
    """One request and its answer, as they went over the line, the body out of its chunks.

    What was never fetched has neither `request` nor `address`, and its head says what an answer would have.
    """

    url: str
    at: float
    """Seconds since the epoch."""
    address: str
    request: bytes
    head: bytes
    """Status line and fields of the answer, with the empty line at their end."""
    body: bytes


@dataclass(frozen=True)
class Place:
    """Up to where a snapshot's files are written: `size` bytes of the file `number`."""

    number: int
    size: int


class WarcWriter(Closing):
    """Writes `<name>-00000.warc.gz`, … in `folder`, going on after `place`; what lies behind it is cut off."""

    def __init__(self, folder: Path, name: str, about: Sequence[tuple[str, str]], place: Place = Place(0, 0)) -> None:
        """`about`: fields of the record that begins each file."""
        self._folder, self._name, self._about = folder, name, about
        self._number = place.number
        behind = place.number + 1
        while (path := folder / f"{name}-{behind:05}.warc.gz").exists():  # begun just before it was cut off
            path.unlink()
            behind += 1
        self._file: BinaryIO = self._opened(place.size)

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    def write(self, exchange: Exchange, *, push: bool = True) -> Place:
        """Append it; returns how far the files are written, once that is on the disk. Raises DiskFullError.

        Without `push` it need not be there yet.
        """
        if self._file.tell() >= FILE_BYTES:
            self.push()
            self._file.close()
            self._number += 1
            self._file = self._opened(0)
        request_id, response_id = _new_id(), _new_id()
        common = [("WARC-Target-URI", exchange.url), ("WARC-Date", _date(exchange.at))]
        response = [
            ("WARC-Type", "response"),
            ("WARC-Record-ID", response_id),
            *common,
            *([("WARC-IP-Address", exchange.address)] if exchange.address else []),
            ("WARC-Payload-Digest", _digest(exchange.body)),
            ("Content-Type", _HTTP_RESPONSE),
        ]
        request = [
            ("WARC-Type", "request"),
            ("WARC-Record-ID", request_id),
            *common,
            ("WARC-Concurrent-To", response_id),
            ("Content-Type", _HTTP_REQUEST),
        ]
        with durable.told_when_full():
            self._file.write(_record(response, exchange.head + exchange.body))
            if exchange.request:
                self._file.write(_record(request, exchange.request))
        if push:
            self.push()
        return Place(self._number, self._file.tell())

    def push(self) -> None:
        """To the disk. Raises DiskFullError."""
        with durable.told_when_full():
            self._file.flush()
            os.fdatasync(self._file.fileno())

    def _opened(self, size: int) -> BinaryIO:
        name = f"{self._name}-{self._number:05}.warc.gz"
        file = (self._folder / name).open("r+b" if size else "wb")
        file.truncate(size)
        file.seek(size)
        if not size:
            about = "".join(f"{field}: {_plain(value)}\r\n" for field, value in self._about)
            head = [
                ("WARC-Type", "warcinfo"),
                ("WARC-Record-ID", _new_id()),
                ("WARC-Date", _date(datetime.now(UTC).timestamp())),
                ("WARC-Filename", name),
                ("Content-Type", "application/warc-fields"),
            ]
            file.write(_record(head, about.encode()))
        return file


def _record(head: Sequence[tuple[str, str]], block: bytes) -> bytes:
    fields = [*head, ("WARC-Block-Digest", _digest(block)), ("Content-Length", str(len(block)))]
    lines = "".join(f"{name}: {_plain(value)}\r\n" for name, value in fields)
    return gzip.compress(b"WARC/1.1\r\n" + lines.encode() + b"\r\n" + block + b"\r\n\r\n", _LEVEL, mtime=0)


def _plain(value: str) -> str:
    """One line: nothing of a page or of a wish can begin another field."""
    return " ".join(value.split())


def _digest(data: bytes) -> str:
    return "sha256:" + base64.b32encode(hashlib.sha256(data).digest()).decode("ascii")


def _date(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _new_id() -> str:
    return f"<urn:uuid:{uuid.uuid4()}>"
