"""What a bundle of kind `release` holds: the wheels of one release of the box, and a manifest that names each."""

import platform
import sys
from collections.abc import Callable, Iterator
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from appliance.bundle.index import Digest, File, Index, Version
from appliance.bundle.update.state import MANIFEST, Release
from appliance.errors import BundleInvalidError

SBOM: Final = "sbom.cdx.json"
WHEELS: Final = "wheels"
PRODUCT: Final = "hako-appliance"
_BESIDE: Final = frozenset({MANIFEST, SBOM, "LICENSE", "NOTICE"})
_MANIFEST_BYTES: Final = 1 << 20

FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+!-]{0,180}\.whl$")]
Project = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,99}$")]


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Wheel(_Shape):
    """One package, as its wheel is called."""

    name: Project
    version: Version
    file: FileName
    sha256: Digest


class Manifest(_Shape):
    """`release.json` of a bundle. `schema_steps`: steps of migration that the release knows."""

    format: Literal[1]
    version: Version
    counter: int = Field(ge=1)
    python: Annotated[str, StringConstraints(pattern=r"^3\.\d{1,3}$")]
    machine: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,40}$")]
    schema_steps: int = Field(ge=1, le=10_000)
    reads_from: int = Field(ge=1, le=10_000)
    """The oldest release that can work with its database knows so many steps."""
    wheels: tuple[Wheel, ...] = Field(min_length=1, max_length=1000)


def manifest_of(index: Index, read: Callable[[File], bytes]) -> Manifest:
    """The manifest of a bundle, after comparing it with what the index signs for.

    Raises:
        BundleInvalidError: it says something else than the index, or the bundle holds what no release has.
    """
    files = {file.path: file for file in index.files}
    wheels = {path.removeprefix(f"{WHEELS}/"): file for path, file in files.items() if path not in _BESIDE}
    own = files.get(MANIFEST)
    try:
        manifest = Manifest.model_validate_json(read(own) if own and own.size <= _MANIFEST_BYTES else b"")
    except ValidationError as error:
        raise BundleInvalidError("release: no manifest") from error
    said = {wheel.file: wheel.sha256 for wheel in manifest.wheels}
    names = [wheel.name for wheel in manifest.wheels]
    own_version = [wheel.version for wheel in manifest.wheels if wheel.name == PRODUCT]
    sound = (
        said == {name: file.sha256 for name, file in wheels.items()}
        and all(path in _BESIDE or path.startswith(f"{WHEELS}/") for path in files)
        and all(file.mode == "file" for file in index.files)
        and len(set(names)) == len(names) == len(said)
        and manifest.counter == index.counter
        and own_version == [manifest.version] == [index.version]
        and manifest.reads_from <= manifest.schema_steps
    )
    if not sound:
        raise BundleInvalidError("release: its manifest says something else than the index")
    return manifest


def unmet(manifest: Manifest) -> Iterator[str]:
    """What this machine would have to be for its wheels, in names that need no translation."""
    if manifest.python != running_python():
        yield f"Python {manifest.python}"
    if manifest.machine != platform.machine():
        yield manifest.machine


def running_python() -> str:
    """Major and minor version, as wheels are made for it."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def described(index: Index, digest: str, publisher: str, manifest: Manifest) -> Release:
    """The release as the state of an update names it."""
    return Release(
        name=f"{index.version}-{digest[:8]}",
        version=index.version,
        counter=index.counter,
        floor=index.floor,
        schema=manifest.schema_steps,
        reads_from=manifest.reads_from,
        digest=digest,
        publisher=publisher,
        irreversible=index.irreversible,
    )
