"""Reads a ZIM file (openZIM, versions 5 and 6) without trusting it: a directory, and contents in packed clusters.

Source: the file format as openzim.org describes it. Every offset and length is the file's own word; none is believed
before what it leads to is there.
"""

import lzma
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final, Protocol, cast

from appliance.errors import ZimDamagedError, ZimPackedError

_MAGIC: Final = 72173914
_REDIRECT: Final = 0xFFFF
_HEAD: Final = struct.Struct("<IHH16xII4QII8x")
_KINDS_BYTES: Final = 256 << 10
_ENTRY_BYTES: Final = 16 << 10
_ENTRIES: Final = 200_000_000
_CLUSTER_BYTES: Final = 128 << 20
"""Of one that is packed; those of today's files are 2 MB."""
_PIECES: Final = 1 << 20
_WINDOW_BYTES: Final = 128 << 20
_CHUNK: Final = 64 << 10
_PLAIN, _XZ, _ZSTD = (0, 1), 4, 5
_WIDE: Final = 0x10


@dataclass(frozen=True)
class Entry:
    """`namespace` is one letter. `target`: the number of the entry that a redirect leads to; None for contents."""

    number: int
    namespace: str
    path: str
    title: str
    mime: str = ""
    cluster: int = 0
    blob: int = 0
    target: int | None = None


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes:
        """Up to so many bytes; none at the end."""


class Zim:
    """`file` stays open as long as this is used."""

    def __init__(self, file: BinaryIO) -> None:
        """Raises ZimDamagedError: it is none."""
        self._file = file
        try:
            magic, major, minor, self.count, self._clusters, *places, main, _layout = _HEAD.unpack(
                self._at(0, _HEAD.size)
            )
        except struct.error as error:
            raise ZimDamagedError("cut off") from error
        self._directory, _titles, self._places, kinds = places
        if magic != _MAGIC or major not in (5, 6) or not 0 < self.count <= _ENTRIES:
            raise ZimDamagedError("no ZIM file, or one of another version")
        self.is_new = (major, minor) >= (6, 1)
        """Whether contents stand in one namespace (C), without the letter in their addresses."""
        self.main = main if main < self.count else None
        self._mimes = self._read_mimes(kinds)
        self._opened: tuple[int, bytes] | None = None

    def entries(self) -> Iterator[Entry]:
        """All, in the order of the directory. Raises ZimDamagedError."""
        for number in range(self.count):
            yield self.entry(number)

    def entry(self, number: int) -> Entry:
        """Raises ZimDamagedError."""
        if not 0 <= number < self.count:
            raise ZimDamagedError("an entry that is none")
        data = self._at(self._place(self._directory, number), _ENTRY_BYTES)
        try:
            kind, letter = struct.unpack_from("<HxB", data)
            at, target, cluster, blob = 16, None, 0, 0
            if kind == _REDIRECT:
                at, target = 12, struct.unpack_from("<I", data, 8)[0]
            else:
                cluster, blob = struct.unpack_from("<II", data, 8)
        except struct.error as error:
            raise ZimDamagedError("an entry that is cut off") from error
        words = data[at:].split(b"\0", 2)
        if len(words) < 3:
            raise ZimDamagedError("an entry without an end")
        path, title = (word.decode("utf-8", "replace") for word in words[:2])
        mime = self._mimes[kind] if kind < len(self._mimes) else ""
        return Entry(number, chr(letter), path, title or path, mime, cluster, blob, target)

    def find(self, namespace: str, path: str) -> Entry | None:
        """By halves, since the directory is in order of namespace and path. Raises ZimDamagedError."""
        wanted, low, high = (namespace.encode("latin-1", "replace"), path.encode()), 0, self.count
        while low < high:
            middle = (low + high) // 2
            entry = self.entry(middle)
            found = (entry.namespace.encode("latin-1"), entry.path.encode("utf-8", "replace"))
            if found == wanted:
                return entry
            low, high = (middle + 1, high) if found < wanted else (low, middle)
        return None

    def metadata(self, name: str) -> str:
        """What the file says of itself, in one line; empty if it doesn't."""
        entry = self.find("M", name)
        said = self.content(entry, 10_000) if entry else None
        return " ".join((said or b"").decode("utf-8", "replace").split())

    def content(self, entry: Entry, most: int) -> bytes | None:
        """All of it; None if it is longer than `most`.

        Raises:
            ZimDamagedError: it isn't where the directory says.
            ZimPackedError: it is packed with Zstandard, and that package isn't installed.
        """
        if entry.target is not None:
            raise ZimDamagedError("a redirect has no content")
        if entry.cluster >= self._clusters:
            raise ZimDamagedError("a cluster that is none")
        place = self._place(self._places, entry.cluster)
        about = self._at(place, 1)
        if not about:
            raise ZimDamagedError("a cluster that is cut off")
        way, width = about[0] & 0x0F, 8 if about[0] & _WIDE else 4
        if way in _PLAIN:
            _demand_table(_whole(self._at(place + 1, width), 0, width), entry.blob, width)
            begin, end = _piece(self._at(place + 1 + entry.blob * width, 2 * width), 0, width)
            return _exactly(_From(self._at, place + 1 + begin), end - begin) if end - begin <= most else None
        if self._opened is None or self._opened[0] != entry.cluster:
            self._opened = (entry.cluster, _unpacked(_stream(_From(self._at, place + 1), way), width))
        cluster = self._opened[1]
        _demand_table(_whole(cluster, 0, width), entry.blob, width)
        begin, end = _piece(cluster, entry.blob, width)
        if end > len(cluster):
            raise ZimDamagedError("a piece of a cluster that is none")
        return cluster[begin:end] if end - begin <= most else None

    def _read_mimes(self, place: int) -> list[str]:
        data = self._at(place, _KINDS_BYTES)
        end = data.find(b"\0\0")
        if end < 0:
            raise ZimDamagedError("no list of types")
        return [each.decode("ascii", "replace").lower() for each in data[:end].split(b"\0")]

    def _place(self, table: int, number: int) -> int:
        """Where it stands in the file, by one of the two tables of places."""
        return _whole(self._at(table + number * 8, 8), 0, 8)

    def _at(self, place: int, size: int) -> bytes:
        try:
            self._file.seek(place)
        except (OverflowError, ValueError, OSError) as error:
            raise ZimDamagedError("a place that is none") from error
        return self._file.read(size)


class _From:
    """The file from one place on, whatever else reads it meanwhile."""

    def __init__(self, at: Callable[[int, int], bytes], place: int) -> None:
        self._at, self._place = at, place

    def read(self, size: int) -> bytes:
        data = self._at(self._place, size)
        self._place += len(data)
        return data


class _Xz:
    def __init__(self, source: _Stream) -> None:
        self._source = source
        self._unpacking = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_WINDOW_BYTES)

    def read(self, size: int) -> bytes:
        while not self._unpacking.eof:
            packed = self._source.read(_CHUNK) if self._unpacking.needs_input else b""
            if not packed and self._unpacking.needs_input:
                break
            try:
                made = self._unpacking.decompress(packed, size)
            except (lzma.LZMAError, EOFError, MemoryError) as error:
                raise ZimDamagedError("damaged where it is packed") from error
            if made:
                return made
        return b""


class _Zstd:
    def __init__(self, source: _Stream) -> None:
        try:
            import zstandard  # an extra for publishers; everybody else does without
        except ImportError as error:
            raise ZimPackedError from error
        self._error = zstandard.ZstdError
        unpacking = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES)
        self._reader: _Stream = unpacking.stream_reader(cast(BinaryIO, source), read_size=_CHUNK, closefd=False)

    def read(self, size: int) -> bytes:
        try:
            return self._reader.read(size)
        except self._error as error:
            raise ZimDamagedError("damaged where it is packed") from error


def _stream(source: _Stream, way: int) -> _Stream:
    if way == _XZ:
        return _Xz(source)
    if way != _ZSTD:
        raise ZimDamagedError("packed in a way that is no longer used")
    return _Zstd(source)


def _unpacked(stream: _Stream, width: int) -> bytes:
    """A whole cluster: where its pieces begin and end, and the pieces."""
    first = _exactly(stream, width)
    table = _whole(first, 0, width)
    _demand_table(table, 0, width)
    head = first + _exactly(stream, table - width)
    size = _whole(head, table // width - 1, width)
    if not table <= size <= _CLUSTER_BYTES:
        raise ZimDamagedError("a cluster that is too large")
    return head + _exactly(stream, size - table)


def _demand_table(size: int, piece: int, width: int) -> None:
    """A table of so many bytes has this piece, and where it ends. Raises ZimDamagedError."""
    if size > _PIECES * width or size % width or (piece + 2) * width > size:
        raise ZimDamagedError("a cluster without a table")


def _exactly(stream: _Stream, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = stream.read(min(size - len(data), _CHUNK))
        if not piece:
            raise ZimDamagedError("a cluster that is cut off")
        data += piece
    return bytes(data)


def _piece(table: bytes, place: int, width: int) -> tuple[int, int]:
    """Where a piece begins and ends, in bytes of its cluster."""
    begin, end = (_whole(table, each, width) for each in (place, place + 1))
    if begin > end:
        raise ZimDamagedError("a piece that ends before it begins")
    return begin, end


def _whole(data: bytes, place: int, width: int) -> int:
    """A number of a table."""
    found = data[place * width : (place + 1) * width]
    if len(found) < width:
        raise ZimDamagedError("cut off")
    return int.from_bytes(found, "little")
