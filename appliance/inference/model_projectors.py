"""The projector of a model that is on the box already: brought later, with which it sees, and taken away again."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.errors import (
    ModelDamagedError,
    ModelNotFoundError,
    ProjectorError,
    ProjectorThereError,
    ProjectorWidthError,
    WrongModelKindError,
)
from appliance.inference import bringing
from appliance.inference import manifest as manifests
from appliance.inference.catalog import Catalog
from appliance.inference.examine import examine
from appliance.inference.gguf_header import Header
from appliance.inference.importing import demand_room
from appliance.inference.manifest import Manifest, ModelFile
from appliance.inference.projectors import Projector
from appliance.inference.source import Source

_ENGINE: Final = "llama"


@dataclass(frozen=True)
class ProjectorPlan:
    """A projector that fits, before anything is written."""

    name: str
    """Of the file, as people may see it."""
    size: int
    projector: Projector
    manifest: Manifest
    """As the model's will be; the digest is known once the file has been read."""


class ModelProjectors:
    """A model has one projector or none; it counts from the next time the model is loaded."""

    def __init__(self, models: Path, lock: threading.Lock) -> None:
        """`lock`: held by whoever changes a model's manifest."""
        self._models = models
        self._catalog = Catalog(models)
        self._lock = lock

    def plan(self, model: str, source: Source) -> ProjectorPlan:
        """What it would bring; `source` is closed then.

        Raises:
            ModelNotFoundError, ModelDamagedError: no such model.
            WrongModelKindError: no chat model of the standard engine.
            ProjectorThereError: it has one.
            ModelFileError: not a whole GGUF file, or it says what no projector can.
            ProjectorError, ProjectorWidthError: something else, or another model's.
        """
        with source:
            known = self._blind(model)
            _header, found = self._looked(known, source)
            return _planned(known, source, found)

    def add(self, model: str, source: Source, shared: str = "") -> ProjectorPlan:
        """Copy it to the model, or share the bytes of `shared`, which is its path; `source` is closed then.

        Raises:
            DiskFullError: no room.
            HakoError: as `plan`.
        """
        with source, self._lock:
            known = self._blind(model)
            header, found = self._looked(known, source)
            if not shared:
                demand_room(self._models, source.size)
            name = bringing.projector_file(known.id)
            stored = bringing.placed(source, self._models / known.id / name, header, shared)
            self._write(known, {**known.files, name: stored}, name)
            return _planned(known, source, found)

    def remove(self, model: str) -> None:
        """Erase it. Raises ModelNotFoundError: no such model, or it has none."""
        with self._lock:
            known = self._catalog.get(model)
            if known.projector is None:
                raise ModelNotFoundError(name=model[:100])
            left = {name: file for name, file in known.files.items() if name != known.projector}
            self._write(known, left, None)
            (self._models / known.id / known.projector).unlink(missing_ok=True)

    def _blind(self, model: str) -> Manifest:
        known = self._catalog.get(model)
        if known.kind != "chat" or known.engine != _ENGINE:
            raise WrongModelKindError(name=known.name)
        if known.projector is not None:
            raise ProjectorThereError(name=known.name)
        return known

    def _looked(self, known: Manifest, source: Source) -> tuple[Header, Projector]:
        header = examine(source.descriptor, source.name)
        if header.projector is None:
            raise ProjectorError(f"{header.kind} of {header.architecture}", name=source.name)
        width = self._width(known)
        if header.projector.width != width:
            raise ProjectorWidthError(f"{header.projector.width} for {width}", name=source.name, model=known.name)
        return header, header.projector

    def _width(self, known: Manifest) -> int:
        try:
            with (self._models / known.id / known.entry).open("rb") as file:
                return examine(file.fileno(), known.name).width
        except OSError as error:
            raise ModelDamagedError(f"{known.entry}: {error.strerror}", name=known.name) from error

    def _write(self, known: Manifest, files: dict[str, ModelFile], projector: str | None) -> None:
        changed = known.model_copy(update={"files": files, "projector": projector})
        manifests.write(self._models / known.id, changed)


def _planned(known: Manifest, source: Source, found: Projector) -> ProjectorPlan:
    files = {**known.files, bringing.projector_file(known.id): ModelFile(sha256="0" * 64, size=source.size)}
    return ProjectorPlan(source.name, source.size, found, known.model_copy(update={"files": files}))
