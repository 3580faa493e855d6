"""Bundles of documents: what they must look like, what a box does with them, and where it puts them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from appliance.bundle.index import Index, Text
from appliance.errors import BundleInvalidError, PackTooLargeError

MOST_DOCUMENTS: Final = 20_000
_BETWEEN: Final = " - "
_OF_TEXT: Final = 80
"""Bytes of vectors and index that a byte of text comes to; 63 to 79 were measured."""
_OF_PDF: Final = 6
"""The same for PDF, which is mostly fonts and pictures; 4.6 was measured."""
_MOST_OF_DOCX: Final = 100 << 20
"""Of a larger one the most is pictures."""
Visibility = Literal["everyone", "private"]
Open = Callable[[str], AbstractContextManager[BinaryIO]]
"""Opens the document that lies at a path of the bundle."""


class Pack(BaseModel):
    """What is to be put on the shelf: all that is needed to go on without the medium. `paths`: where to what name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: str
    maker: str
    maker_kind: Literal["publisher", "box"]
    name: str
    version: str
    issued: int
    title: Text
    description: str
    licence: str
    provenance: dict[str, str]
    paths: dict[str, str]


class Shelf(Protocol):
    """The box's bases, as bundles meet them. Makers are fingerprints."""

    def state(self, digest: str) -> str | None:
        """`coming`, `reading`, `ready` or `failed`; None where this very version isn't here."""

    def shown(self, maker: str, name: str) -> str | None:
        """The version of a pack that readers have."""

    def demand_newer(self, maker: str, name: str, issued: int, digest: str) -> None:
        """Raises BundleRollbackError."""

    def pace(self) -> float | None:
        """Seconds for a byte, by what was read of late."""

    def put(self, pack: Pack, opened: Open, visibility: Visibility, actor: str) -> None:
        """Store all of it and have it read. Repeating it goes on where it was.

        Raises:
            BundleRollbackError, ConflictError: a newer one has come meanwhile, or somebody has removed this one.
        """


@dataclass(frozen=True)
class PackPlan:
    """What taking documents would do. `replaces`: the version that readers have now; empty where there is none."""

    count: int
    size_bytes: int
    room_bytes: int
    """What the box needs for them, as far as that can be told before they have been read."""
    state: Literal["new", "newer", "there"]
    replaces: str
    seconds: float | None
    """To read them; None while nobody can tell."""


def planned(shelf: Shelf, pack: Pack, sizes: Mapping[str, int]) -> PackPlan:
    """`sizes`: bytes of each document by its path. Raises BundleRollbackError: something newer was taken before."""
    size = sum(sizes.values())
    if shelf.state(pack.digest) not in (None, "failed"):
        return PackPlan(len(pack.paths), size, 0, "there", "", None)
    shelf.demand_newer(pack.maker, pack.name, pack.issued, pack.digest)
    held = shelf.shown(pack.maker, pack.name)
    pace = shelf.pace()
    seconds = None if pace is None else pace * size
    room = size + sum(_to_be_found(name, sizes[path]) for path, name in pack.paths.items())
    return PackPlan(len(pack.paths), size, room, "new" if held is None else "newer", held or "", seconds)


def _to_be_found(name: str, size: int) -> int:
    """Bytes of text, vectors and index that a document comes to. Vectors take far more room than text."""
    ending = PurePosixPath(name).suffix.lower()
    if ending == ".pdf":
        return size * _OF_PDF
    return min(size * _OF_TEXT, _MOST_OF_DOCX) if ending == ".docx" else size * _OF_TEXT


def of_index(index: Index, digest: str, maker: str, largest: int) -> Pack:
    """The pack that a publisher's bundle is. `largest`: bytes of one document.

    Raises:
        BundleInvalidError: a program, or an empty document.
        PackTooLargeError: too many documents, or one that is too large.
    """
    if any(file.mode != "file" for file in index.files):
        raise BundleInvalidError("a program among documents")
    demand_sizes((file.size for file in index.files), largest)
    return Pack(
        digest=digest,
        maker=maker,
        maker_kind="publisher",
        name=index.name,
        version=index.version,
        issued=index.issued,
        title=index.title,
        description=index.notes.ja or index.notes.en,
        licence=index.licence,
        provenance=index.provenance,
        paths={file.path: named(file.path) for file in index.files},
    )


def demand_sizes(sizes: Iterator[int], largest: int) -> None:
    """Raises BundleInvalidError for an empty document, PackTooLargeError for one too large, or too many."""
    count = 0
    for count, size in enumerate(sizes, start=1):
        if count > MOST_DOCUMENTS:
            raise PackTooLargeError(limit=str(MOST_DOCUMENTS))
        if size == 0:
            raise BundleInvalidError("an empty document")
        if size > largest:
            raise PackTooLargeError(limit=f"{largest >> 20} MiB")


def named(path: str) -> str:
    """What a document is called in its base: the folders are part of the name, so that two of one name can be told."""
    return _BETWEEN.join(PurePosixPath(path).parts)


def plain_files(files: Path) -> Open:
    """Documents as they lie in a folder."""
    return lambda path: (files / path).open("rb")
