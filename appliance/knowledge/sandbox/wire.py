"""How the child tells its result: framed, flat, bounded. The reading side takes every byte for an attacker's.

A frame is one letter, the length of its body (4 bytes, big-endian), the body. No nesting, no references, no
code: a text is a length and UTF-8. JSON would let three bytes become an object of sixty.
"""

import re
import struct
from collections.abc import Iterator

from appliance.errors import (
    BombDocumentError,
    DamagedDocumentError,
    DocumentError,
    DocumentTooLargeError,
    EmptyDocumentError,
    LockedDocumentError,
    UnknownFormatError,
)
from appliance.knowledge.extract.contract import (
    BLOCK_KINDS,
    FORMATS,
    TITLE_CHARACTERS,
    WARNINGS_MAX,
    Block,
    BlockKind,
    Extracted,
    ExtractLimits,
    Format,
    Page,
)
from appliance.machine.jail import LAYERS

JAILED, PROGRESS, HEADER, PAGE, END, ERROR = b"JPHBZE"
"""What the first byte of a frame says."""
BLOCKS_MAX = 1_000_000
"""Of a document."""
_HEAD = struct.Struct(">BI")
_COUNTS = struct.Struct(">QQ")
_COUNT_MAX = 1 << 53
_BLOCK = struct.Struct(">BBI")
_SHORT_FRAME = 4096

_KINDS: tuple[BlockKind, ...] = ("heading", "paragraph", "list", "table", "code")
_FORMATS: tuple[Format, ...] = ("pdf", "docx", "md", "html", "txt", "csv")
_ERRORS: dict[str, type[DocumentError]] = {
    kind.code: kind
    for kind in (
        UnknownFormatError,
        EmptyDocumentError,
        DamagedDocumentError,
        DocumentTooLargeError,
        LockedDocumentError,
        BombDocumentError,
    )
}
_LIMIT = re.compile(r"[0-9]{1,9} (?:MB|p\.|s|col\.|blocks)")
_DETAIL = re.compile(r"[A-Za-z0-9 :._,;()-]{0,100}")
_WARNING = re.compile(r"[a-z-]{1,40}(?::[0-9]{1,9})?")
MEMORY = b"HK-MEMORY"
"""Body of the error frame of a child that ran out of memory: made beforehand, needs none to send."""


class LieError(Exception):
    """A frame that no honest child sends."""


def frame(letter: int, body: bytes) -> bytes:
    """One frame."""
    return _HEAD.pack(letter, len(body)) + body


def progress_frame(done: int, total: int) -> bytes:
    """How far the child is."""
    total = min(max(total, 1), _COUNT_MAX)
    return frame(PROGRESS, _COUNTS.pack(min(max(done, 0), total), total))


def error_frame(error: DocumentError) -> bytes:
    """Why there is no result: the code, the one parameter that isn't known outside, a detail for the log."""
    limit = str(error.params.get("limit", ""))
    detail = "".join(char if _DETAIL.fullmatch(char) else "_" for char in error.detail[:100])
    return frame(ERROR, f"{error.code}\n{limit}\n{detail}".encode())


def result_frames(document: Extracted) -> Iterator[bytes]:
    """A document's frames, in order.

    Raises:
        DocumentTooLargeError: more blocks than any real document has.
    """
    if sum(len(page.blocks) for page in document.pages) > BLOCKS_MAX:
        raise DocumentTooLargeError("blocks", limit=f"{BLOCKS_MAX} blocks")
    title = " ".join(_clean(document.title).split())[:TITLE_CHARACTERS]
    header = "\n".join((document.format, title, *document.warnings[:WARNINGS_MAX]))
    yield frame(HEADER, header.encode())
    for page in document.pages:
        parts = []
        for block in page.blocks:
            text = _clean(block.text).encode()
            parts.append(_BLOCK.pack(_KINDS.index(block.kind), block.level, len(text)) + text)
        yield frame(PAGE, b"".join(parts))
    yield frame(END, b"")


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


class Receiver:
    """Puts the result together from bytes as they come, and refuses at once what doesn't fit."""

    def __init__(self, limits: ExtractLimits, name: str) -> None:
        self._limits = limits
        self._name = name
        self._buffer = bytearray()
        self._header: tuple[Format, str, tuple[str, ...]] | None = None
        self._pages: list[Page] = []
        self._room = limits.text_bytes
        self._blocks = 0
        self.layers: tuple[str, ...] = ()
        self.progress: tuple[int, int] | None = None
        """The latest one."""
        self.document: Extracted | None = None
        self.error: DocumentError | None = None
        self.out_of_memory = False

    @property
    def finished(self) -> bool:
        return self.document is not None or self.error is not None or self.out_of_memory

    def feed(self, data: bytes) -> None:
        """More bytes from the child.

        Raises:
            LieError: they are not what the child would send.
        """
        self._buffer += data
        while len(self._buffer) >= _HEAD.size and not self.finished:
            letter, length = _HEAD.unpack_from(self._buffer)
            if length > self._longest(letter):
                raise LieError("frame too long")
            if len(self._buffer) < _HEAD.size + length:
                return
            body = bytes(memoryview(self._buffer)[_HEAD.size : _HEAD.size + length])
            del self._buffer[: _HEAD.size + length]
            self._take(letter, body)

    def _longest(self, letter: int) -> int:
        if letter == PAGE:
            return self._room + (BLOCKS_MAX - self._blocks) * _BLOCK.size
        return _SHORT_FRAME

    def _take(self, letter: int, body: bytes) -> None:
        if letter == PROGRESS:
            self._take_progress(body)
        elif letter == JAILED:
            self._take_layers(body)
        elif letter == HEADER and self._header is None:
            self._take_header(body)
        elif letter == PAGE and self._header is not None:
            self._take_page(body)
        elif letter == END and self._header is not None and not body:
            kind, title, warnings = self._header
            self.document = Extracted(kind, title, tuple(self._pages), warnings)
        elif letter == ERROR:
            self._take_error(body)
        else:
            raise LieError("frame out of place")

    def _take_progress(self, body: bytes) -> None:
        if len(body) != _COUNTS.size:
            raise LieError("progress")
        done, total = _COUNTS.unpack(body)
        if not (0 <= done <= total and 0 < total <= _COUNT_MAX):
            raise LieError("progress")
        self.progress = (done, total)

    def _take_layers(self, body: bytes) -> None:
        layers = tuple(_text(body).split())
        if self.layers or not set(layers) <= set(LAYERS):
            raise LieError("layers")
        self.layers = layers

    def _take_header(self, body: bytes) -> None:
        parts = _text(body).split("\n")
        if len(parts) < 2:
            raise LieError("header")
        kind, title, *warnings = parts
        known = next((format_ for format_ in _FORMATS if format_ == kind), None)
        if known is None or len(title) > TITLE_CHARACTERS or len(warnings) > WARNINGS_MAX:
            raise LieError("header")
        if not all(_WARNING.fullmatch(warning) for warning in warnings):
            raise LieError("warning")
        self._header = (known, title, tuple(warnings))

    def _take_page(self, body: bytes) -> None:
        if len(self._pages) >= self._limits.pages:
            raise LieError("pages")
        blocks: list[Block] = []
        place = 0
        while place < len(body):
            if len(body) - place < _BLOCK.size or self._blocks >= BLOCKS_MAX:
                raise LieError("block")
            kind, level, length = _BLOCK.unpack_from(body, place)
            place += _BLOCK.size
            if kind >= len(_KINDS) or level > 6 or (level and kind) or length > len(body) - place:
                raise LieError("block")
            blocks.append(Block(_KINDS[kind], _text(body[place : place + length]), level))
            place += length
            self._blocks += 1
            self._room -= length
            if self._room < 0:
                raise LieError("text")
        self._pages.append(Page(len(self._pages) + 1, tuple(blocks)))

    def _take_error(self, body: bytes) -> None:
        if body == MEMORY:
            self.out_of_memory = True
            return
        code, limit, detail = (*_text(body).split("\n", 2), "", "")[:3]
        kind = _ERRORS.get(code)
        if kind is None or not _DETAIL.fullmatch(detail):
            raise LieError("error")
        if kind is DocumentTooLargeError:
            if not _LIMIT.fullmatch(limit):
                raise LieError("limit")
            self.error = kind(detail, limit=limit)
        elif kind is UnknownFormatError:
            self.error = kind(detail, name=self._name)
        else:
            self.error = kind(detail)


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise LieError("not UTF-8") from error


if frozenset(_KINDS) != BLOCK_KINDS or frozenset(_FORMATS) != FORMATS:
    raise ImportError("wire and contract disagree")
