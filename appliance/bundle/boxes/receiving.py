"""The receiving side of packs: whose it is, whether it is for this box, what is inside, and opening it."""

import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from appliance.bundle.boxes.format import CONTENTS, Contents, PackFile, buffered
from appliance.bundle.boxes.identity import Identity, fingerprint_of
from appliance.bundle.boxes.trusted import Boxes
from appliance.bundle.index import Index, Text
from appliance.bundle.shelf import Open, Pack, demand_sizes
from appliance.bundle.staging import checked
from appliance.errors import (
    BoxUntrustedError,
    BundleDamagedError,
    BundleInvalidError,
    EnvelopeError,
    PackForAnotherError,
)
from appliance.vault.envelope import open_stream

_CONTENTS_BYTES: Final = 16 << 20


class Sealed(BaseModel):
    """How the files of a pack are opened, by the box that it is for. In hex."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sender: str
    key: str

    def opened(self, identity: Identity) -> bytes:
        """The key of the files. Raises PackForAnotherError."""
        return identity.open(bytes.fromhex(self.key), bytes.fromhex(self.sender))


@dataclass(frozen=True)
class Sender:
    """The box that made a pack. `name` is what it calls itself, which anybody could."""

    fingerprint: str
    name: str
    trusted: bool


@dataclass(frozen=True)
class Received:
    """A pack that was opened. `sizes`: bytes of each document by its path."""

    pack: Pack
    sealed: Sealed
    sizes: dict[str, int]


class Receiving:
    """Judges packs, and opens them."""

    def __init__(self, identity: Identity, boxes: Boxes, largest: int) -> None:
        """`largest`: bytes of one document."""
        self._identity, self._boxes, self._largest = identity, boxes, largest

    def sender(self, file: PackFile) -> Sender:
        """Whose it is."""
        known = self._boxes.get(file.fingerprint)
        return Sender(file.fingerprint, known.name if known else _shown(file.statement.box), known is not None)

    def opened(self, file: PackFile) -> Received:
        """What is inside.

        Raises:
            BoxUntrustedError, PackForAnotherError: not of a box that is trusted, or not for this one.
            BundleDamagedError, BundleInvalidError, PackTooLargeError: inside is not what must be.
            BundleUnreadableError: the stick is gone.
        """
        sender, said = self.sender(file), file.statement
        if not sender.trusted:
            raise BoxUntrustedError(file.fingerprint, box=sender.name)
        if said.receiver != self._identity.receiving.hex():
            raise PackForAnotherError(said.receiver[:16])
        sealed = Sealed(sender=said.sender, key=said.key)
        contents = self._contents(file, sealed.opened(self._identity))
        paths = {document.path: _named(document.name) for document in contents.documents}
        files = [each.path for each in said.index.files if each.path != CONTENTS]
        if len(paths) != len(contents.documents) or sorted(paths) != sorted(files) or not paths:
            raise BundleInvalidError("contents say something else than the index")
        demand_sizes((document.size for document in contents.documents), self._largest)
        pack = Pack(
            digest=file.digest,
            maker=sender.fingerprint,
            maker_kind="box",
            name=said.index.name,
            version=said.index.version,
            issued=said.index.issued,
            title=Text(ja=_named(contents.title), en=_named(contents.title)),
            description=_text(contents.description),
            licence=_named(contents.licence),
            provenance={**contents.provenance, "box": sender.name},
            paths=paths,
        )
        return Received(pack, sealed, {document.path: document.size for document in contents.documents})

    def demand_whole(self, received: Received, files: Path, tell: Callable[[], None]) -> None:
        """See to it that every document opens. Raises BundleDamagedError; whatever `tell` raises, to stop it."""
        opened = unsealed(received.sealed, files, self._identity)
        for path in received.pack.paths:
            with opened(path) as source:
                try:
                    while source.read(1 << 20):
                        tell()
                except EnvelopeError as error:
                    raise BundleDamagedError("a document that doesn't open") from error

    @staticmethod
    def _contents(file: PackFile, key: bytes) -> Contents:
        own = next((each for each in file.statement.index.files if each.path == CONTENTS), None)
        if own is None or own.size > _CONTENTS_BYTES:
            raise BundleInvalidError("no contents, or too long")
        sealed = b""
        for part in own.parts:
            pieces = checked(file, part)
            assert pieces is not None  # it was built from this very index
            sealed += b"".join(pieces)
        try:
            content = b"".join(open_stream(key, buffered(iter((sealed,)))))
            return Contents.model_validate_json(content)
        except EnvelopeError as error:
            raise BundleDamagedError("contents don't open") from error
        except (ValidationError, RecursionError) as error:
            raise BundleInvalidError("contents") from error


def unsealed(sealed: Sealed, files: Path, identity: Identity) -> Open:
    """Documents of a pack as they lie in a folder, opened on the way. Reading raises EnvelopeError."""
    key = sealed.opened(identity)

    @contextmanager
    def opened(path: str) -> Iterator[BinaryIO]:
        with (files / path).open("rb") as source:
            yield buffered(open_stream(key, source))

    return opened


def told(index: Index, pack: Pack) -> Index:
    """The signed index, which tells nothing, with what is inside; for people, not to be signed or checked again."""
    about = {"title": pack.title, "licence": pack.licence, "provenance": pack.provenance, "name": pack.title.en}
    return index.model_copy(update=about)


def public_of(file: PackFile) -> bytes:
    """The sender's key."""
    return bytes.fromhex(file.statement.sender)


def is_of(file: PackFile, fingerprint: str) -> bool:
    """Whether the box with this fingerprint has made it."""
    return fingerprint_of(public_of(file)) == fingerprint


def _named(name: str) -> str:
    """A name is shown and never used as a path, so one that looks like a path is somebody's trick."""
    if not name.strip() or name.strip() in (".", "..") or "/" in name or "\\" in name or _shown(name) != name:
        raise BundleInvalidError("an impossible name")
    return name


def _text(text: str) -> str:
    return "\n".join(_shown(line) for line in text.splitlines())


def _shown(text: str) -> str:
    """One line without what can't be seen."""
    return "".join(sign for sign in text if unicodedata.category(sign)[0] != "C")
