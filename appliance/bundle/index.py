"""The signed index of one bundle: what it is, what it asks of a box, and every file as parts of at most 64 MiB.

Nothing in a bundle is ever unpacked: a box makes the files that the index names, from parts that it checks.
"""

import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from appliance.errors import BundleInvalidError

PART_BYTES: Final = 64 << 20
"""FAT32 ends at 4 GiB; smaller parts also mean that a pulled stick costs little."""
LONGEST: Final = 32 << 20
"""Bytes of an index."""
_MOST_FILES: Final = 50_000
_PATH_CHARS: Final = 240
_FORBIDDEN: Final = frozenset('\\:*?"<>|')
_RESERVED: Final = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{digit}" for port in ("com", "lpt") for digit in range(1, 10))}
)

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,79}$")]
Version = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+-]{0,39}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Words = Annotated[str, StringConstraints(max_length=20_000)]
Kind = Literal["release", "system", "models", "knowledge", "apps", "web"]
ROLES: Final[dict[Kind, str]] = {
    "release": "app",
    "system": "app",
    "models": "models",
    "knowledge": "content",
    "apps": "content",
    "web": "content",
}
"""Which delegated role signs for which kind; it is the first part of the target's path."""
_COUNTED: Final = frozenset({"release", "system"})


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Part(_Shape):
    """Some consecutive bytes of a file, found on the medium under their digest."""

    sha256: Digest
    size: int = Field(gt=0, le=PART_BYTES)


class File(_Shape):
    """One file to make. `program` files may be run, nothing else is ever set."""

    path: str = Field(min_length=1, max_length=_PATH_CHARS)
    mode: Literal["file", "program"] = "file"
    size: int = Field(ge=0)
    sha256: Digest
    parts: tuple[Part, ...] = Field(max_length=1 << 17)

    @model_validator(mode="after")
    def _check(self) -> Self:
        _demand_plain(self.path)
        if sum(part.size for part in self.parts) != self.size:
            raise ValueError("parts are not the file's size")
        return self


class Text(_Shape):
    """For people, in both languages."""

    ja: Words = ""
    en: Words = ""


class Requires(_Shape):
    """What a box must have before anything is copied. Empty means that it doesn't matter."""

    product: Literal["hako"] = "hako"
    device: str = Field("", max_length=100)
    """The name of the one box that it is for."""
    at_least: str = Field("", max_length=40)
    """Versions of Hako, both ends included."""
    at_most: str = Field("", max_length=40)
    disk_bytes: int = Field(0, ge=0)
    memory_bytes: int = Field(0, ge=0)
    cpu_flags: tuple[str, ...] = Field((), max_length=64)
    gpu: bool = False
    base: str = Field("", max_length=120)
    """The bundle whose parts a thin one leaves out, `name version`."""


class Index(_Shape):
    """What is signed for one bundle."""

    format: Literal[1]
    kind: Kind
    name: Name
    version: Version
    counter: int = Field(0, ge=0)
    """Of releases, and another one of systems: rises with each one, whatever its version is called."""
    floor: int = Field(0, ge=0)
    """Releases only: none below it may run once this one is installed for good."""
    issued: int = Field(ge=0)
    """Seconds since the epoch."""
    title: Text
    notes: Text = Text()
    licence: str = Field(min_length=1, max_length=200)
    provenance: dict[str, Annotated[str, StringConstraints(max_length=2000)]] = Field(default={}, max_length=50)
    requires: Requires = Requires()
    irreversible: bool = False
    files: tuple[File, ...] = Field(min_length=1, max_length=_MOST_FILES)

    @model_validator(mode="after")
    def _check(self) -> Self:
        _demand_tree([file.path for file in self.files])
        counts, floor_max = self.kind in _COUNTED, self.counter if self.kind == "release" else 0
        if self.floor > floor_max or counts != (self.counter > 0):
            raise ValueError("counter")
        return self

    @property
    def target(self) -> str:
        """The path that the publisher's keys sign for."""
        return f"{ROLES[self.kind]}/{self.name}/{self.version}/index.json"

    @property
    def parts(self) -> frozenset[Part]:
        """Every part once, in whichever files it stands."""
        return frozenset(part for file in self.files for part in file.parts)

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)


def path_on_medium(target: str, digest: str) -> str:
    """Where the index that is signed for `target` lies: TUF puts the digest before the name."""
    folder, _, name = target.rpartition("/")
    return f"targets/{folder}/{digest}.{name}"


def read(data: bytes, target: str) -> Index:
    """The index that was signed for `target`.

    Raises:
        BundleInvalidError: not an index of this format, or one that names what it must not.
    """
    if len(data) > LONGEST:
        raise BundleInvalidError("index too long")
    try:
        index = Index.model_validate_json(data)
    except (ValidationError, RecursionError) as error:
        where = [str(part)[:40] for item in _problems(error) for part in item]
        raise BundleInvalidError(f"index: {'/'.join(where)[:200]}") from error
    if index.target != target:
        raise BundleInvalidError("index of another bundle")
    return index


def _problems(error: ValidationError | RecursionError) -> Iterable[tuple[int | str, ...]]:
    return [item["loc"] for item in error.errors()[:3]] if isinstance(error, ValidationError) else [("depth",)]


def _demand_plain(path: str) -> None:
    """A name that means the same on every file system, and leads nowhere but below the bundle's own folder."""
    for part in path.split("/"):
        shown = all(unicodedata.category(sign)[0] != "C" and sign not in _FORBIDDEN for sign in part)
        if (
            part in ("", ".", "..")
            or len(part.encode()) > 200
            or not shown
            or part != part.strip(" ")
            or part.endswith(".")
            or part.split(".")[0].lower() in _RESERVED
            or unicodedata.normalize("NFC", part) != part
        ):
            raise ValueError("impossible path")


def _demand_tree(paths: list[str]) -> None:
    """Every path once, also where capitals don't count, and none both a file and a folder."""
    folded = [path.casefold() for path in paths]
    files = set(folded)
    if len(files) != len(paths):
        raise ValueError("one path twice")
    folders = {str(parent) for path in folded for parent in PurePosixPath(path).parents}
    if files & folders:
        raise ValueError("a file and a folder of one name")
