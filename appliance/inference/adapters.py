"""LoRA adapters of a model: small files beside its own, one of which can be loaded with it (see `load_settings`)."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.errors import (
    AdapterError,
    ConflictError,
    ModelDamagedError,
    ModelNotFoundError,
    WrongModelKindError,
)
from appliance.inference import bringing
from appliance.inference import manifest as manifests
from appliance.inference.catalog import Catalog
from appliance.inference.examine import examine
from appliance.inference.gguf_header import Header
from appliance.inference.importing import demand_room, plain_name
from appliance.inference.manifest import ADAPTER, Manifest, ModelFile
from appliance.inference.source import Source

_KIND: Final = "adapter"
_ENGINE: Final = "llama"


@dataclass(frozen=True)
class AdapterPlan:
    """An adapter that fits, before anything is written."""

    name: str
    """That it has, or will have, beside the model."""
    size: int


class Adapters:
    """An adapter belongs to one model: it is checked, digested and removed with it."""

    def __init__(self, models: Path) -> None:
        self._models = models
        self._catalog = Catalog(models)
        self._lock = self.lock = threading.Lock()
        """Held while a model's manifest is changed; whoever else does that holds it too."""

    def plan(self, model: str, source: Source) -> AdapterPlan:
        """What it would bring; `source` is closed then.

        Raises:
            ModelNotFoundError, ModelDamagedError: no such model.
            WrongModelKindError: no chat model of the standard engine.
            ModelFileError: no whole GGUF file.
            AdapterError: no LoRA adapter, or for another kind of model.
            ConflictError: the model has one of that name.
        """
        with source:
            return self._looked(self._catalog.get(model), source)[1]

    def add(self, model: str, source: Source, shared: str = "") -> AdapterPlan:
        """Copy it to the model, or share the bytes of `shared`, which is its path; `source` is closed then.

        It counts once it is set.

        Raises:
            DiskFullError: no room.
            HakoError: as `plan`.
        """
        with source, self._lock:
            known = self._catalog.get(model)
            header, plan = self._looked(known, source)
            if not shared:
                demand_room(self._models, source.size)
            stored = bringing.placed(source, self._models / known.id / plan.name, header, shared)
            self._write(known, {**known.files, plan.name: stored})
            return plan

    def remove(self, model: str, name: str) -> None:
        """Erase an adapter.

        Raises:
            ModelNotFoundError: no such model, or it has no such adapter.
        """
        with self._lock:
            known = self._catalog.get(model)
            if name not in known.adapters:
                raise ModelNotFoundError(name=name[:100])
            self._write(known, {file: stored for file, stored in known.files.items() if file != name})
            (self._models / known.id / name).unlink(missing_ok=True)

    def _looked(self, known: Manifest, source: Source) -> tuple[Header, AdapterPlan]:
        if known.kind != "chat" or known.engine != _ENGINE:
            raise WrongModelKindError(name=known.name)
        header = examine(source.descriptor, source.name)
        if header.kind != _KIND or header.architecture != self._header(known).architecture:
            raise AdapterError(f"{header.kind} of {header.architecture}", name=source.name, model=known.name)
        plan = AdapterPlan(_file_name(source.name), source.size)
        if plan.name in known.files:
            raise ConflictError(name=plan.name)
        return header, plan

    def _header(self, known: Manifest) -> Header:
        try:
            with (self._models / known.id / known.entry).open("rb") as file:
                return examine(file.fileno(), known.name)
        except OSError as error:
            raise ModelDamagedError(f"{known.entry}: {error.strerror}", name=known.name) from error

    def _write(self, known: Manifest, files: dict[str, ModelFile]) -> None:
        changed = known.model_copy(update={"files": files})
        manifests.write(self._models / known.id, changed)


def _file_name(name: str) -> str:
    return (plain_name(Path(name).stem.removesuffix(".lora")) or "adapter") + ADAPTER
