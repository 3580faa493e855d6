"""The web snapshots in a bundle: one folder each, with its manifest and the WARC files that this names."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Literal, Protocol

from appliance.bundle.index import File, Index
from appliance.errors import BundleInvalidError
from appliance.warc import manifest as manifests
from appliance.warc.manifest import Manifest

_BESIDE: Final = frozenset({"LICENSE", "NOTICE", "README.md"})

SnapshotState = Literal["new", "there"]


@dataclass(frozen=True)
class PackedSnapshot:
    """One snapshot of a bundle, which is also its folder's name."""

    digest: str
    """SHA-256 of its manifest: the box knows it by that."""
    manifest: Manifest
    files: tuple[File, ...]

    @property
    def size(self) -> int:
        """Bytes of its files together."""
        return sum(file.size for file in self.files)


class SnapshotShelf(Protocol):
    """Where a box keeps snapshots: out of sight until `show`. `bundle` is the digest of an index."""

    def has(self, digest: str, /) -> bool: ...

    def bring(
        self, bundle: str, digest: str, manifest: Manifest, folder: Path, tell: Callable[[int, int], None], /
    ) -> None:
        """Raises WarcDamagedError, WarcOversizeError, DiskFullError; nothing was kept then."""

    def hidden(self, bundle: str, /) -> list[tuple[str, str, str]]: ...

    def show(self, bundle: str, by: str, /) -> None: ...

    def forget(self, bundle: str, /) -> None: ...


def snapshots_of(index: Index, read: Callable[[File], bytes]) -> tuple[PackedSnapshot, ...]:
    """What a bundle of web snapshots brings. `read` gives the content of one small file, checked against its digest.

    Raises:
        BundleInvalidError: a file belongs to no snapshot, or a manifest says something else than the index.
    """
    folders: dict[str, list[File]] = {}
    for file in index.files:
        parts = PurePosixPath(file.path).parts
        if file.mode != "file" or len(parts) != 2:
            raise BundleInvalidError("a program, or a file that belongs to no web snapshot")
        folders.setdefault(parts[0], []).append(file)
    return tuple(_packed(folder, files, read) for folder, files in sorted(folders.items()))


def _packed(folder: str, files: list[File], read: Callable[[File], bytes]) -> PackedSnapshot:
    by_name = {PurePosixPath(file.path).name: file for file in files if PurePosixPath(file.path).name not in _BESIDE}
    own = by_name.pop(manifests.FILE_NAME, None)
    manifest = manifests.read(read(own)) if own is not None and own.size <= manifests.LONGEST else None
    if own is None or manifest is None:
        raise BundleInvalidError(f"web snapshot {folder[:100]}: no manifest")
    stated = {name: (file.sha256, file.size) for name, file in manifest.files.items()}
    if manifest.name != folder or stated != {name: (file.sha256, file.size) for name, file in by_name.items()}:
        raise BundleInvalidError(f"web snapshot {folder[:100]}: its manifest says something else than the index")
    return PackedSnapshot(own.sha256, manifest, tuple(files))
