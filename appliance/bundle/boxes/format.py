"""The file of a pack that a box has made: sealed documents one after the other, and what is signed of them at the end.

The end is written last, so that a file can be sent while it is made, and one that was cut off is never taken for whole.
"""

import hashlib
import io
import json
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, BinaryIO, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from tuf.api.exceptions import DownloadError, DownloadHTTPError

from appliance.bundle import index as indexes
from appliance.bundle.boxes.identity import Identity, fingerprint_of
from appliance.bundle.index import PART_BYTES, Digest, File, Index, Part, Text
from appliance.bundle.media import Place
from appliance.bundle.staging import part_path
from appliance.closing import Closing
from appliance.errors import BundleDamagedError, BundleInvalidError, BundleSignatureError, BundleUnreadableError
from appliance.machine import folders
from appliance.vault.envelope import Readable, new_key, sealed_pieces
from appliance.vault.parcels import seal_for
from appliance.vault.signing import is_signed

CONTENTS: Final = "contents"
_HEAD: Final = b"HAKOPCK1"
_FOOT: Final = b"HAKOPEND"
_LENGTH_BYTES: Final = 8
_CONTEXT: Final = b"hako pack 1\n"
_CHUNK: Final = 1 << 20

Line = Annotated[str, StringConstraints(max_length=200)]


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Statement(_Shape):
    """What the sending box signs. It tells sizes and who is who, nothing of what is inside. Keys in hex."""

    format: Literal[1]
    box: Line
    """What the sending box calls itself."""
    sender: Digest
    receiver: Digest
    key: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{2,400}$")]
    """Of the sealed files; itself sealed for the receiver."""
    index: Index


class Document(_Shape):
    """One document. `path`: of its sealed file; `name`: what people call it."""

    path: Annotated[str, StringConstraints(max_length=100)]
    name: Line
    size: int = Field(ge=0)


class Contents(_Shape):
    """What is inside; the first of the sealed files."""

    title: Line
    description: Annotated[str, StringConstraints(max_length=2000)]
    licence: Line
    provenance: dict[str, Annotated[str, StringConstraints(max_length=2000)]] = Field(max_length=50)
    documents: tuple[Document, ...]


@dataclass(frozen=True)
class Outgoing:
    """A document to be sent."""

    name: str
    size: int
    source: Readable


class PieceReader(io.RawIOBase):
    """Pieces of bytes as a file to be read once."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces, self._ready = pieces, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer`; 0 at the end. What the pieces raise goes through."""
        while not self._ready:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._ready = memoryview(piece)
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size


def buffered(pieces: Iterator[bytes]) -> BinaryIO:
    """Pieces as an ordinary file."""
    return io.BufferedReader(PieceReader(pieces), _CHUNK)


def written(
    identity: Identity,
    box: str,
    receiver: bytes,
    name: str,
    issued: int,
    contents: Contents,
    sources: Sequence[Readable],
) -> Iterator[bytes]:
    """The whole file, piece by piece. `sources`: the documents in their order.

    Raises:
        EnvelopeError: a document can't be read any more, or `receiver` is no key.
    """
    key = new_key()
    wrapped = seal_for(receiver, key, identity.public)
    yield _HEAD
    files = []
    inner = io.BytesIO(contents.model_dump_json().encode())
    paths = (CONTENTS, *(document.path for document in contents.documents))
    for path, source in zip(paths, (inner, *sources), strict=True):
        cutter = _Cutter(path)
        for piece in sealed_pieces(key, source):
            cutter.add(piece)
            yield piece
        files.append(cutter.file())
    index = Index(
        format=1,
        kind="knowledge",
        name=name,
        version=datetime.fromtimestamp(issued, UTC).strftime("%Y-%m-%d.%H%M%S"),
        issued=issued,
        title=Text(),
        licence="sealed",
        files=tuple(files),
    )
    statement = Statement(
        format=1,
        box=box,
        sender=identity.public.hex(),
        receiver=receiver.hex(),
        key=wrapped.hex(),
        index=index,
    ).model_dump_json()
    signature = identity.sign(_CONTEXT + statement.encode())
    foot = json.dumps({"pack": statement, "signature": signature.hex()}).encode()
    yield foot + len(foot).to_bytes(_LENGTH_BYTES, "big") + _FOOT


class _Cutter:
    """Digests of a file and of its parts, while it goes by."""

    def __init__(self, path: str) -> None:
        self._path, self._whole = path, hashlib.sha256()
        self._part, self._in_part, self._size = hashlib.sha256(), 0, 0
        self._parts: list[Part] = []

    def add(self, piece: bytes) -> None:
        self._whole.update(piece)
        self._size += len(piece)
        while piece:
            now, piece = piece[: PART_BYTES - self._in_part], piece[PART_BYTES - self._in_part :]
            self._part.update(now)
            self._in_part += len(now)
            if self._in_part == PART_BYTES:
                self._cut()

    def file(self) -> File:
        if self._in_part:
            self._cut()
        return File(path=self._path, size=self._size, sha256=self._whole.hexdigest(), parts=tuple(self._parts))

    def _cut(self) -> None:
        self._parts.append(Part(sha256=self._part.hexdigest(), size=self._in_part))
        self._part, self._in_part = hashlib.sha256(), 0


class PackFile(Closing):
    """A pack on a stick. Its signature holds; whether the signer is trusted, and what is inside, is asked elsewhere."""

    def __init__(self, place: Place) -> None:
        """Raises BundleUnreadableError, BundleInvalidError, BundleDamagedError, BundleSignatureError."""
        self._file = _opened(place)
        try:
            text, signature, end = self._foot()
            try:
                self.statement = Statement.model_validate_json(text)
                indexes.read(self.statement.index.model_dump_json().encode(), self.statement.index.target)
            except (ValidationError, RecursionError) as error:
                raise BundleInvalidError("statement") from error
            _demand_signed(self.statement, text, signature)
            self.digest = hashlib.sha256(text.encode()).hexdigest()
            self._places = _places(self.statement.index, end)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let the stick go."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    @property
    def fingerprint(self) -> str:
        """Of the box that made it."""
        return fingerprint_of(bytes.fromhex(self.statement.sender))

    def has(self, path: str) -> bool:
        """Whether it holds this part."""
        return path in self._places

    def read(self, path: str) -> Iterator[bytes]:
        """The bytes of a part, as `Medium.read`."""
        if path not in self._places:
            raise DownloadHTTPError("not in this pack", 404)
        return self._pieces(*self._places[path])

    def _pieces(self, offset: int, size: int) -> Iterator[bytes]:
        try:
            while size and (piece := os.pread(self._file, min(size, _CHUNK), offset)):
                offset, size = offset + len(piece), size - len(piece)
                yield piece
        except OSError as error:  # the stick was pulled out, or is dying
            raise DownloadError(f"read: {error.strerror}") from error

    def _foot(self) -> tuple[str, bytes, int]:
        """The signed text, its signature, and where the parts end."""
        ending = _LENGTH_BYTES + len(_FOOT)
        try:
            whole = os.fstat(self._file).st_size
            _demand_pack(os.pread(self._file, len(_HEAD), 0))
            tail = os.pread(self._file, ending, max(0, whole - ending))
            length = int.from_bytes(tail[:_LENGTH_BYTES], "big")
            start = whole - ending - length
            _demand_whole(tail[_LENGTH_BYTES:], start)
            foot = b"".join(self._pieces(start, _demand_short(length)))
        except (OSError, DownloadError) as error:
            raise BundleUnreadableError(str(error)[:200]) from error
        try:
            said = json.loads(foot)
            return str(said["pack"]), bytes.fromhex(said["signature"]), start
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BundleInvalidError("statement") from error


def _demand_signed(statement: Statement, text: str, signature: bytes) -> None:
    if not is_signed(bytes.fromhex(statement.sender), _CONTEXT + text.encode(), signature):
        raise BundleSignatureError("pack")


def _demand_pack(head: bytes) -> None:
    if head != _HEAD:
        raise BundleInvalidError("no pack")


def _demand_whole(foot: bytes, start: int) -> None:
    if foot != _FOOT or start < len(_HEAD):
        raise BundleDamagedError("a pack that was cut off")


def _demand_short(length: int) -> int:
    if length > indexes.LONGEST:
        raise BundleInvalidError("statement too long")
    return length


def _places(index: Index, end: int) -> dict[str, tuple[int, int]]:
    """Where each part lies; all of the file is parts. Raises BundleDamagedError."""
    places, offset = {}, len(_HEAD)
    for part in (part for file in index.files for part in file.parts):
        places[part_path(part)] = (offset, part.size)
        offset += part.size
    if offset != end:
        raise BundleDamagedError("not as long as signed for")
    return places


def _opened(place: Place) -> int:
    """The file, with no link followed below what somebody named. Raises BundleUnreadableError, BundleInvalidError."""
    try:
        folder = folders.opened(place.folder, place.below)
        try:
            # O_NONBLOCK: a pipe in a file's place must not hold us up.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
            file = os.open(place.pack, flags, dir_fd=folder)
        finally:
            os.close(folder)
    except (OSError, ValueError) as error:
        raise BundleUnreadableError(f"pack: {type(error).__name__}") from error
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise BundleInvalidError("not an ordinary file")
    return file
