"""Uploads: one file of a multipart body, read as a stream while it arrives; nothing is kept on the way."""

import io
import unicodedata
from typing import Any, Final

from flask import Request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.sansio.multipart import NEED_DATA, Data, Epilogue, Event, File, MultipartDecoder

from appliance.errors import BadInputError, TooLargeError
from webui import security

_READ_BYTES: Final = 256 * 1024
_OVERHEAD_BYTES: Final = 64 * 1024
"""What the parts around a file may take: boundaries, headers, small fields."""
_MAX_PARTS: Final = 16
_NAME_CHARS: Final = 200
_MEBI: Final = 1024 * 1024


class Upload(io.RawIOBase):
    """The field `file` of a request, to be read once and to its end; `name` is what the sender calls it.

    Reading raises TooLargeError beyond the limit and BadInputError if the body ends too early, so that a store
    that copies from it never takes half a file for a whole one.
    """

    def __init__(self, incoming: Request, limit_mb: int, field: str = "file") -> None:
        """Read up to the beginning of the file.

        Raises:
            BadInputError: not multipart, or no such field.
            TooLargeError: the body says itself that it is over the limit.
        """
        super().__init__()
        security.check_length(incoming, limit_mb, _OVERHEAD_BYTES)
        boundary = incoming.mimetype_params.get("boundary", "")
        if incoming.mimetype != "multipart/form-data" or not 0 < len(boundary) <= 200:
            raise BadInputError(field="content-type")
        incoming.max_content_length = limit_mb * _MEBI + _OVERHEAD_BYTES
        self._limit_mb = limit_mb
        self._source = incoming.stream
        self._decoder = MultipartDecoder(
            boundary.encode("latin-1", "replace"), 2 * _READ_BYTES + _OVERHEAD_BYTES, max_parts=_MAX_PARTS
        )
        self._field = field
        self._ready = b""
        self._size = 0
        self._other_bytes = 0
        self._ended = False
        self.name = self._find_file()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` with what has arrived; 0 at the end of the file."""
        while not self._ready and not self._ended:
            self._take(self._next())
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _take(self, event: Event) -> None:
        if not isinstance(event, Data):
            raise BadInputError(field=self._field)
        self._ready = event.data
        self._size += len(event.data)
        if self._size > self._limit_mb * _MEBI:
            raise TooLargeError(limit_mb=self._limit_mb)
        if not event.more_data:
            self._ended = True
            self._finish()

    def _finish(self) -> None:
        """Read to the end of the body: a second file is a mistake, not something to drop in silence."""
        while not isinstance(event := self._next(), Epilogue):
            if isinstance(event, File):
                raise BadInputError(field=self._field)
            self._count_other(event)

    def _find_file(self) -> str:
        while not isinstance(event := self._next(), Epilogue):
            if isinstance(event, File) and event.name == self._field:
                return clean_name(event.filename)
            self._count_other(event)
        raise BadInputError(field=self._field)

    def _count_other(self, event: Event) -> None:
        if isinstance(event, Data):
            self._other_bytes += len(event.data)
            if self._other_bytes > _OVERHEAD_BYTES:
                raise BadInputError(field=self._field)

    def _next(self) -> Event:
        try:
            while (event := self._decoder.next_event()) is NEED_DATA:
                self._decoder.receive_data(self._source.read(_READ_BYTES) or None)
        except RequestEntityTooLarge:
            raise TooLargeError(limit_mb=self._limit_mb) from None
        except (ValueError, UnicodeDecodeError, ClientDisconnected, OSError):
            raise BadInputError("the body ended too early or isn't multipart", field=self._field) from None
        return event


def clean_name(given: str) -> str:
    """The last part of a file's name as one printable line; a name is shown, never used as a path.

    Raises:
        BadInputError: nothing is left of it.
    """
    last = given.replace("\\", "/").rsplit("/", 1)[-1]
    last = "".join(sign for sign in unicodedata.normalize("NFC", last) if unicodedata.category(sign)[0] != "C").strip()
    if last in ("", ".", ".."):
        raise BadInputError(field="file")
    if len(last) > _NAME_CHARS:
        stem, dot, ending = last.rpartition(".")
        last = stem[: _NAME_CHARS - len(ending) - 1] + dot + ending if dot and len(ending) <= 10 else last[:_NAME_CHARS]
    return last
