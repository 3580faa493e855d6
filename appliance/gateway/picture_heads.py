"""What a picture's bytes say of its kind and size: enough to keep from a decoder what makes it grow or work for ever.

Nothing is decoded here but the compressed rows of a PNG, which are counted and thrown away.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["png", "jpeg", "gif", "webp"]

SIDE_MAX: Final = 1 << 14
PIXELS_MAX: Final = 50_000_000
_RAW_MAX: Final = 256 << 20
"""Bytes of a PNG's rows."""
_RAW_SLACK: Final = 1 << 16
_SCANS_MAX: Final = 32
"""Passes over all of a JPEG; cameras and programs make ten."""
_FRAME_MAX: Final = 2 << 20
"""Compressed bytes of a GIF's first frame: each may make a decoder take thousands of steps."""
_STEP: Final = 1 << 20

_PNG, _GIF = b"\x89PNG\r\n\x1a\n", re.compile(rb"GIF8[79]a")
_DEPTHS: Final = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PASSES: Final = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Of an interlaced PNG: the first column and row of each, and the steps to the next ones."""
_MARKER: Final = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)
_FRAMES: Final = (0xC0, 0xC1, 0xC2)
_OTHER_FRAMES: Final = (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
_SCAN, _END = 0xDA, 0xD9


class UnreadableError(Exception):
    """No picture of a known kind, damaged, cut off, or coded in a way that hardly any decoder knows; for the log."""


class OversizeError(Exception):
    """Too many pixels, or far more to decode than it shows; the text is for the log."""


@dataclass(frozen=True)
class Head:
    """`width` and `height` in pixels."""

    kind: Kind
    width: int
    height: int

    @property
    def pixels(self) -> int:
        return self.width * self.height


def look(data: bytes) -> Head:
    """The head of the picture that `data` is.

    Raises:
        UnreadableError: it is none that can be shown.
        OversizeError: it is one that nobody should decode.
    """
    try:
        return _look(data)
    except (struct.error, IndexError):
        raise UnreadableError("cut off") from None


def _look(data: bytes) -> Head:
    if data.startswith(_PNG):
        return _png(data)
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg(data)
    if _GIF.match(data):
        return _gif(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data)
    raise UnreadableError("of no known kind")


def _sized(kind: Kind, width: int, height: int) -> Head:
    if not width or not height:
        raise UnreadableError("without pixels")
    if width > SIDE_MAX or height > SIDE_MAX or width * height > PIXELS_MAX:
        raise OversizeError(f"{width} x {height}")
    return Head(kind, width, height)


# -- PNG


def _png(data: bytes) -> Head:
    parts = _chunks(data)
    name, first = next(parts, (b"", b""))
    if name != b"IHDR" or len(first) != 13:
        raise UnreadableError("no head")
    width, height, depth, colours, packing, filtering, interlaced = struct.unpack(">IIBBBBB", first)
    if depth not in _DEPTHS.get(colours, ()) or packing or filtering or interlaced > 1:
        raise UnreadableError("coded in an unknown way")
    head = _sized("png", width, height)
    rows = _raw_bytes(width, height, depth * _CHANNELS[colours], interlaced=bool(interlaced))
    if rows > _RAW_MAX:
        raise OversizeError(f"{rows} bytes of rows")
    _demand_rows(parts, rows)
    return head


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents up to the end, which must be there."""
    place = len(_PNG)
    while True:
        length, name = struct.unpack_from(">I4s", data, place)
        if place + 12 + length > len(data):
            raise UnreadableError("cut off")
        if name == b"IEND":
            return
        yield name, data[place + 8 : place + 8 + length]
        place += 12 + length


def _demand_rows(parts: Iterator[tuple[bytes, bytes]], rows: int) -> None:
    """The compressed rows are `rows` bytes long, not much more: that is what a decoder would grow to."""
    unpacker, size = zlib.decompressobj(), 0
    for name, content in parts:
        if name == b"CgBI" or (name[:1].isupper() and name not in (b"PLTE", b"IDAT")):
            raise UnreadableError("coded in an unknown way")
        waiting = content if name == b"IDAT" else b""
        while waiting:
            try:
                size += len(unpacker.decompress(waiting, _STEP))
            except zlib.error:
                raise UnreadableError("damaged") from None
            waiting = unpacker.unconsumed_tail
            if size > rows + _RAW_SLACK:
                raise OversizeError("more rows than it says")
    if size + len(unpacker.flush()) < rows:
        raise UnreadableError("cut off")


def _raw_bytes(width: int, height: int, bits: int, *, interlaced: bool) -> int:
    """Of all rows with `bits` a pixel, each with the byte that says how it was filtered."""
    if not interlaced:
        return height * (1 + -(-width * bits // 8))
    size = 0
    for column, row, across, down in _PASSES:
        columns, lines = -(-(width - column) // across), -(-(height - row) // down)
        if columns > 0 and lines > 0:
            size += lines * (1 + -(-columns * bits // 8))
    return size


# -- JPEG


def _jpeg(data: bytes) -> Head:
    head, scans, place = None, 0, 2
    while found := _MARKER.search(data, place):
        marker, place = found[1][0], found.end()
        if marker == _END:
            break
        if marker in (0x01, 0xD8):
            continue
        length = struct.unpack_from(">H", data, place)[0]
        if length < 2 or place + length > len(data):
            raise UnreadableError("cut off")
        if marker in _OTHER_FRAMES or (marker in _FRAMES and head):
            raise UnreadableError("coded in an unknown way")
        if marker in _FRAMES:
            depth, height, width = struct.unpack_from(">BHH", data, place + 2)
            if depth != 8:
                raise UnreadableError("coded in an unknown way")
            head = _sized("jpeg", width, height)
        scans += marker == _SCAN
        if scans > _SCANS_MAX:
            raise OversizeError("too many scans")
        place += length
    if head is None or not scans:
        raise UnreadableError("no head, or nothing after it")
    return head


# -- GIF


def _gif(data: bytes) -> Head:
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    head = _sized("gif", width, height)
    place = 13 + _table(flags)
    while data[place] == 0x21:  # an extension
        place, _size = _blocks(data, place + 2)
    if data[place] != 0x2C:
        raise UnreadableError("no frame")
    left, top, across, down, flags = struct.unpack_from("<HHHHB", data, place + 1)
    if left + across > width or top + down > height:
        raise UnreadableError("a frame beyond its edges")
    _place, size = _blocks(data, place + 11 + _table(flags))
    if size > _FRAME_MAX:
        raise OversizeError(f"{size} bytes of a frame")
    return head


def _table(flags: int) -> int:
    return 3 * (2 << (flags & 7)) if flags & 0x80 else 0


def _blocks(data: bytes, place: int) -> tuple[int, int]:
    """Where the blocks from there on end, and how many bytes they hold."""
    size = 0
    while length := data[place]:
        place += 1 + length
        size += length
    return place + 1, size


# -- WebP, which the box's own engine can't read, but other machines' can


def _webp(data: bytes) -> Head:
    name, body = data[12:16], data[20:30]
    if name == b"VP8X":
        width, height = (1 + int.from_bytes(body[at : at + 3], "little") for at in (4, 7))
    elif name == b"VP8L" and body[:1] == b"\x2f":
        bits = struct.unpack_from("<I", body, 1)[0]
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif name == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", body, 6))
    else:
        raise UnreadableError("coded in an unknown way")
    if len(data) < 30 and name != b"VP8L":
        raise UnreadableError("cut off")
    return _sized("webp", width, height)
