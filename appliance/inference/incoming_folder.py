"""A folder on its way into the store: copied or linked file by file, digested, checked, and put where it is seen.

A model's folder appears under its name complete, or not at all.
"""

import contextlib
import hashlib
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar, Generic, Protocol, TypeVar

from appliance import durable, modes
from appliance.closing import Closing
from appliance.errors import ConflictError, ModelFileError
from appliance.inference import manifest as manifests
from appliance.inference.bringing import brought
from appliance.inference.catalog import INCOMING, Catalog
from appliance.inference.importing import Imported, locked, told
from appliance.inference.manifest import Manifest, ModelFile
from appliance.inference.opened_folder import OpenedFolder
from appliance.inference.source import Source


class Planned(Protocol):
    """What an import would make of a folder."""

    @property
    def model(self) -> str:
        """The id."""
        ...

    @property
    def size(self) -> int:
        """Bytes of all files that are taken from the folder."""
        ...


F = TypeVar("F", bound=OpenedFolder)
P = TypeVar("P", bound=Planned)


class IncomingFolder(Closing, ABC, Generic[F, P]):
    """One import under way: `copy` to the end, then `finish`; closing it earlier leaves nothing behind."""

    small: ClassVar[tuple[str, ...]]
    """Names of files that are copied also where the others are shared."""
    unread: ClassVar[tuple[str, ...]] = ()
    """Names of files that the engine has no use for, so that they don't tell models apart."""

    def __init__(self, catalog: Catalog, models: Path, source: F, plan: P, *, link: bool) -> None:
        self.plan = plan
        self._catalog = catalog
        self._models = models
        self._source = source
        self._link = link
        self._files: dict[str, ModelFile] = {}
        self._folder = models / (plan.model + INCOMING)
        try:
            self._folder.mkdir(mode=modes.folder())
        except FileExistsError:
            raise ConflictError(name=plan.model) from None
        self._lock = locked(self._folder)

    # -- what kinds of folders differ in

    @abstractmethod
    def _parts(self) -> Iterator[tuple[str, Source]]:
        """Every file with the name that it has in the store."""

    def _made(self) -> dict[str, bytes]:
        """Files that are written beside them, by name."""
        return {}

    def _beside(self) -> dict[str, bytes]:
        """Files that lie beside the model's own without being among them, by name."""
        return {}

    @abstractmethod
    def _looked(self) -> Iterator[tuple[str, Callable[[int, str], object], object]]:
        """Names of files, how to look at them, and what was seen in the folder."""

    @abstractmethod
    def _manifest(self) -> Manifest:
        """Once all files are there."""

    # -- the same for all

    def copy(self) -> Iterator[int]:
        """Bring the bytes in and digest them; yields how many are done.

        Raises:
            DiskFullError: no room any more.
            BadInputError: `link`, where a file can't be shared.
            ModelFileError: a file changed meanwhile.
        """
        done = 0
        with told():
            for name, source in self._parts():
                for read in self._bring(name, source):
                    yield done + read
                done += source.size
            for name, data in self._made().items():
                self._write(name, data)
                self._files[name] = ModelFile(sha256=hashlib.sha256(data).hexdigest(), size=len(data))
            for name, data in self._beside().items():
                self._write(name, data)

    def finish(self) -> Imported:
        """Check what has come, write the manifest, and put the model where it is seen.

        Raises:
            ModelFileError: what came is not what was looked at.
        """
        manifest = self._manifest()
        for known in self._catalog.all().values():
            if self._used(known) == self._used(manifest):
                return Imported(known, is_new=False)
        self._check()
        with told():
            self._write(manifests.FILE_NAME, (manifest.model_dump_json(indent=1) + "\n").encode())
            durable.sync(self._folder)
            self._folder.rename(self._models / manifest.id)
            durable.sync(self._models)
        return Imported(manifest, is_new=True)

    def close(self) -> None:
        """Let go of the files, and remove what is not finished."""
        self._source.close()
        if self._lock is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            os.close(self._lock)
            self._lock = None

    def _bring(self, name: str, source: Source) -> Iterator[int]:
        shared = source.name if self._link and name not in self.small else ""
        self._files[name] = yield from brought(source, self._folder / name, shared, self._source.descriptor)

    def _write(self, name: str, data: bytes) -> None:
        path = self._folder / name
        with path.open("xb") as file:
            path.chmod(modes.file())
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def _check(self) -> None:
        """What lies in the store says what was planned for."""
        for name, look, expected in self._looked():
            with (self._folder / name).open("rb") as stored:
                if look(stored.fileno(), name) != expected:
                    raise ModelFileError("changed while it was read", name=name)

    def _used(self, manifest: Manifest) -> object:
        """The bytes for the engine, and the way in which they are used."""
        unread = (*self.unread, "NOTICE")
        digests = {name: file.sha256 for name, file in manifest.files.items() if name not in unread}
        return digests, manifest.ways


def is_folder(path: str) -> bool:
    """Whether there is a folder, not a link to one."""
    with contextlib.suppress(OSError, ValueError):
        return not os.path.islink(path) and os.path.isdir(path)  # noqa: PTH112, PTH114 - a text, maybe with a NUL in it
    return False
