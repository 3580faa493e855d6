"""What a bundle of kind `system` holds: a whole Debian with its kernels for a machine's other slot, and a manifest."""

from collections.abc import Callable, Iterator
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from appliance.bundle.index import Digest, File, Index, Version
from appliance.errors import (
    BundleInvalidError,
    HakoError,
    OtherProfileError,
    SystemBaseError,
    SystemBaseOldError,
    SystemOldError,
    SystemPythonError,
    SystemTooLargeError,
)

MANIFEST: Final = "system.json"
"""In the bundle, and with less in it at /usr/share/hako of a system itself."""
ROOT: Final = "root.squashfs"
TREE: Final = "root.verity"
KERNELS: Final = {"a": "hako-a.efi", "b": "hako-b.efi"}
"""By the slot that each of them starts."""
SBOM: Final = "sbom.cdx.json"
FILES: Final = frozenset({ROOT, TREE, *KERNELS.values()})
_BESIDE: Final = frozenset({MANIFEST, SBOM, "LICENSE", "NOTICE"})
_MANIFEST_BYTES: Final = 1 << 16
_TIMES_MOVED: Final = 5
"""Copied and checked, checked again, written and read back."""
_BYTES_A_S: Final = 50e6
_RESTART_S: Final = 180.0


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class System(_Shape):
    """What a system says of itself. `version` and `counter`: of the box's base inside."""

    format: Literal[1] = 1
    profile: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
    architecture: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,40}$")]
    """As `uname -m` says it."""
    number: int = Field(ge=1, le=1_000_000_000)
    """The system's own: rises with each that is published, for Debian's updates come between releases of the box."""
    version: Version
    counter: int = Field(ge=1)
    python: Annotated[str, StringConstraints(pattern=r"^3\.\d{1,3}$")]


class Content(_Shape):
    """One file. `size` in bytes."""

    size: int = Field(ge=1)
    sha256: Digest


class Manifest(System):
    """`system.json` of a bundle. `digest`: the root of the tree over the whole system, which its kernels demand."""

    digest: Digest
    files: dict[str, Content]


class Room(BaseModel):
    """Bytes of a machine's other slot, of its tree, of the firmware's partition for one more kernel, and of the two
    kernels that are kept there.
    """

    model_config = ConfigDict(frozen=True)

    root: int
    tree: int
    esp: int
    kept: int


def manifest_of(index: Index, read: Callable[[File], bytes]) -> Manifest:
    """The manifest of a bundle, after comparing it with what the index signs for.

    Raises:
        BundleInvalidError: it says something else than the index, or the bundle holds what no system has.
    """
    files = {file.path: file for file in index.files}
    own = files.get(MANIFEST)
    manifest = parsed(read(own) if own and own.size <= _MANIFEST_BYTES else b"")
    said = {name: (content.size, content.sha256) for name, content in manifest.files.items()}
    sound = (
        said == {path: (file.size, file.sha256) for path, file in files.items() if path not in _BESIDE}
        and all(file.mode == "file" for file in index.files)
        and manifest.number == index.counter
    )
    if not sound:
        raise BundleInvalidError("system: its manifest says something else than the index")
    return manifest


def parsed(content: bytes) -> Manifest:
    """A manifest by itself. Raises BundleInvalidError."""
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        raise BundleInvalidError("system: no manifest") from error
    if manifest.files.keys() != FILES:
        raise BundleInvalidError("system: not its four files")
    return manifest


def refusals(
    manifest: Manifest, running: System, room: Room, *, highest: int, release: int, has_releases: bool
) -> Iterator[HakoError]:
    """Why this machine can't take it. `highest`: of the systems that were ever taken for good here. `release`: the
    counter of the release that runs. `has_releases`: whether some are installed, which need their Python.
    """
    for word, here in ((manifest.profile, running.profile), (manifest.architecture, running.architecture)):
        if word != here:
            yield OtherProfileError(need=word, here=here)
    if manifest.number <= running.number or manifest.number < highest:
        yield SystemOldError(number=manifest.number, highest=max(running.number, highest))
    if manifest.counter > release:
        yield SystemBaseError(version=manifest.version)
    if manifest.counter < running.counter:
        yield SystemBaseOldError(version=manifest.version, here=running.version)
    if has_releases and manifest.python != running.python:
        yield SystemPythonError(python=manifest.python, here=running.python)
    yield from _too_large(manifest, room)


def seconds(manifest: Manifest) -> float:
    """From the stick to the restarted machine, guessed; the box works but for the restart."""
    return sum(content.size for content in manifest.files.values()) * _TIMES_MOVED / _BYTES_A_S + _RESTART_S


def _too_large(manifest: Manifest, room: Room) -> Iterator[HakoError]:
    sizes = {name: content.size for name, content in manifest.files.items()}
    one = max(sizes[name] for name in KERNELS.values())
    wanted = {
        "slot": (sizes[ROOT], room.root),
        "tree": (sizes[TREE], room.tree),
        "esp": (one, room.esp),
        "kernels": (one + sum(sizes[name] for name in KERNELS.values()), room.esp + room.kept),
    }
    for what, (size, most) in wanted.items():
        if size > most:
            yield SystemTooLargeError(what=what, size=size, room=most)
