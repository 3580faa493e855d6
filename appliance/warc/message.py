"""The HTTP answer within a response record: its status, its fields, and its content as the server meant it."""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from appliance.warc.records import WarcError, WarcTooLargeError

_HEAD_BYTES: Final = 256 << 10
_STATUS: Final = re.compile(rb"HTTP/\d(?:\.\d)? (\d{3})(?: [^\r\n]*)?")
_CHUNK_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]{0,200})?")
_FIELDS: Final = 300
_WINDOWS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}


@dataclass(frozen=True)
class Answer:
    """What a server answered; names of `headers` are in small letters. Of two fields of one name the first counts."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def mime(self) -> str:
        """Of its content, in small letters and without parameters; empty if it doesn't say."""
        return self.headers.get("content-type", "").split(";")[0].strip().lower()[:100]


def parse(block: bytes) -> Answer:
    """The answer in a block. Raises WarcError."""
    end = block.find(b"\r\n\r\n", 0, _HEAD_BYTES)
    if end < 0:
        raise WarcError("an answer without the end of its head")
    first, *lines = block[:end].split(b"\r\n")
    status = _STATUS.fullmatch(first)
    if status is None or len(lines) > _FIELDS:
        raise WarcError("no answer of HTTP")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if colon:
            headers.setdefault(name.strip().decode("latin-1").lower(), value.strip().decode("latin-1"))
    return Answer(int(status[1]), headers, block[end + 4 :])


def content(answer: Answer, most: int) -> bytes:
    """The content, taken out of chunks and of gzip or deflate.

    Raises:
        WarcTooLargeError: longer than `most` bytes.
        WarcError: damaged, or compressed in another way.
    """
    body = answer.body
    if "chunked" in answer.headers.get("transfer-encoding", "").lower():
        body = _joined(body)
    for way in reversed(_ways(answer.headers.get("content-encoding", ""))):
        body = _inflated(body, way, most)
    if len(body) > most:
        raise WarcTooLargeError("content too long")
    return body


def _ways(said: str) -> list[str]:
    ways = [way.strip().lower() for way in said.split(",")]
    return [way for way in ways if way not in ("", "identity")][:3]


def _joined(body: bytes) -> bytes:
    """Some crawlers keep the chunks, some keep only the field that announces them."""
    pieces: list[bytes] = []
    place = 0
    while True:
        end = body.find(b"\r\n", place, place + 256)
        size = _CHUNK_SIZE.fullmatch(body[place:end]) if end >= 0 else None
        if size is None:
            if not pieces:
                return body
            raise WarcError("damaged chunks")
        length, place = int(size[1], 16), end + 2
        if length == 0:
            return b"".join(pieces)
        if body[place + length : place + length + 2] != b"\r\n":
            if not pieces:
                return body
            raise WarcError("damaged chunks")
        pieces.append(body[place : place + length])
        place += length + 2


def _inflated(body: bytes, way: str, most: int) -> bytes:
    if way not in _WINDOWS:
        raise WarcError("compressed in a way that isn't read")
    windows = (_WINDOWS[way], -15) if way == "deflate" else (_WINDOWS[way],)  # some servers leave the wrapping out
    for window in windows:
        member = zlib.decompressobj(window)
        try:
            made = member.decompress(body, most + 1)
        except zlib.error:
            continue
        if len(made) > most:
            raise WarcTooLargeError("content too long")
        return made
    raise WarcError("damaged where it is compressed")
