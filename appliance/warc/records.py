"""Reads the records of a WARC file (1.0 or 1.1, gzip by record or not) one after another, within bounds.

Every length in it is the file's own word: what doesn't add up is refused, and nothing is believed before it is there.
"""

import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Final

_GZIP: Final = b"\x1f\x8b"
_VERSION: Final = re.compile(rb"WARC/1\.[01]")
_NAME: Final = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,60}")
_LENGTH: Final = re.compile(r"[0-9]{1,12}")
_HEAD_BYTES: Final = 64 << 10
_FIELDS: Final = 200
_CHUNK: Final = 64 << 10
_END: Final = b"\r\n\r\n"


class WarcError(Exception):
    """The file is not what it should be; in plain words, without anything of its own."""


class WarcTooLargeError(WarcError):
    """It may be sound, but there is more of it than is read."""


@dataclass(frozen=True)
class Bounds:
    """What one file may cost."""

    records: int = 500_000
    record_bytes: int = 1 << 30
    inflated_bytes: int = 16 << 30
    ratio: int = 200
    """Bytes that a byte of the file may become, over the whole file."""
    spare_bytes: int = 32 << 20
    """Bytes that may come of a small file whatever the ratio."""


class Record:
    """One record. Its block can be read as long as the next one hasn't been asked for."""

    def __init__(self, number: int, headers: Mapping[str, str], source: "_Inflated", length: int) -> None:
        """`number` counts from 0; names of `headers` are in small letters; `length` of the block in bytes."""
        self.number, self.headers, self.length = number, headers, length
        self._source, self._left = source, length

    @property
    def kind(self) -> str:
        """`response`, `request`, `warcinfo`, …"""
        return self.headers.get("warc-type", "").lower()

    def read(self, most: int) -> bytes:
        """The next bytes of the block, up to `most`. Raises WarcError."""
        piece = self._source.read(min(most, self._left))
        self._left -= len(piece)
        return piece

    def finish(self) -> None:
        """Go to the end of the block, and see that a record ends there. Raises WarcError."""
        while self._left:
            self.read(_CHUNK)
        if self._source.read(len(_END)) != _END:
            raise WarcError("a record is not as long as it says")


class Records:
    """The records of `source`, which is read from where it is, once."""

    def __init__(self, source: BinaryIO, bounds: Bounds = Bounds()) -> None:
        self._bounds = bounds
        self._source = _Inflated(source, bounds)

    @property
    def position(self) -> int:
        """Bytes of the file that were read so far."""
        return self._source.taken

    def __iter__(self) -> Iterator[Record]:
        """Raises WarcError, WarcTooLargeError; `OSError` if the file can't be read."""
        number = 0
        while not self._source.is_at_end():
            if number >= self._bounds.records:
                raise WarcTooLargeError("too many records")
            headers = self._head()
            said = headers.get("content-length", "")
            if not _LENGTH.fullmatch(said):
                raise WarcError("a record without its length")
            if int(said) > self._bounds.record_bytes:
                raise WarcTooLargeError("a record that is too long")
            record = Record(number, headers, self._source, int(said))
            yield record
            record.finish()
            number += 1

    def _head(self) -> dict[str, str]:
        if not _VERSION.fullmatch(self._source.line(_HEAD_BYTES)):
            raise WarcError("no record where one should begin")
        headers: dict[str, str] = {}
        last, room = "", _HEAD_BYTES
        while line := self._source.line(room):
            room -= len(line) + 2
            if line[:1] in (b" ", b"\t") and last:  # a long field, as version 1.0 may write it
                headers[last] += " " + line.strip().decode("utf-8", "replace")
                continue
            name, colon, value = line.partition(b":")
            if not colon or not _NAME.fullmatch(name) or len(headers) >= _FIELDS:
                raise WarcError("a head of a record that is none")
            last = name.decode("ascii").lower()
            if last == "content-length" and last in headers:
                raise WarcError("a record with two lengths")
            headers.setdefault(last, value.strip().decode("utf-8", "replace"))
        return headers


class _Inflated:
    """The file's bytes, taken out of its gzip members, never more at once than was asked for."""

    def __init__(self, source: BinaryIO, bounds: Bounds) -> None:
        self._source, self._bounds = source, bounds
        self._ready = bytearray()
        self._packed = b""
        self._given = 0
        self.taken = 0
        self._more()
        self._is_packed = self._packed[:2] == _GZIP
        self._member = zlib.decompressobj(31) if self._is_packed else None

    def is_at_end(self) -> bool:
        """Whether nothing comes any more. Raises WarcError where a gzip member is cut off."""
        return not self._ready and not self._fill(1)

    def read(self, size: int) -> bytes:
        """Exactly so many bytes, at most a few MB. Raises WarcError if there are fewer."""
        while len(self._ready) < size:
            if not self._fill(size - len(self._ready)):
                raise WarcError("cut off")
        piece = bytes(memoryview(self._ready)[:size])
        del self._ready[:size]
        return piece

    def line(self, most: int) -> bytes:
        """The next line without its end, CR LF or LF."""
        while (end := self._ready.find(b"\n")) < 0:
            if len(self._ready) > most:
                raise WarcError("a head of a record that is too long")
            if not self._fill(_CHUNK):
                raise WarcError("cut off")
        if end > most:
            raise WarcError("a head of a record that is too long")
        return self.read(end + 1).removesuffix(b"\n").removesuffix(b"\r")

    def _fill(self, size: int) -> bool:
        """Make some more bytes ready; False at the end."""
        while True:
            if not self._packed and not self._more():
                if self._member is not None and not self._is_fresh:
                    raise WarcError("cut off")
                return False
            piece = self._inflate(min(max(size, 1), _CHUNK))
            if piece:
                self._ready += piece
                self._given += len(piece)
                self._demand_bounds()
                return True

    @property
    def _is_fresh(self) -> bool:
        """Whether the member at hand has not begun."""
        return self._began == 0

    _began = 0

    def _inflate(self, size: int) -> bytes:
        if self._member is None:
            piece, self._packed = self._packed[:size], self._packed[size:]
            return piece
        before = len(self._packed)
        try:
            piece = self._member.decompress(self._packed, size)
        except zlib.error as error:
            raise WarcError("damaged where it is compressed") from error
        if self._member.eof:
            self._packed = self._member.unused_data
            self._member, self._began = zlib.decompressobj(31), 0
        else:
            self._packed = self._member.unconsumed_tail
            self._began += before - len(self._packed)
        return piece

    def _more(self) -> bool:
        self._packed = self._source.read(_CHUNK)
        self.taken += len(self._packed)
        return bool(self._packed)

    def _demand_bounds(self) -> None:
        allowed = self.taken * self._bounds.ratio + self._bounds.spare_bytes
        if self._given > min(allowed, self._bounds.inflated_bytes):
            raise WarcTooLargeError("more than it may become")
