"""The models of the box as its operator handles them: import, memory estimate, check of the digests, removal."""

import shutil
import threading
from collections.abc import Mapping
from typing import Any, Final

from appliance import logs
from appliance.config import Settings
from appliance.errors import (
    DefaultFixedError,
    DefaultNeededError,
    HakoError,
    InferenceUnreachableError,
    ModelDamagedError,
    ModelInUseError,
    ModelNotFoundError,
)
from appliance.gateway.gateway import Gateway
from appliance.inference import extras, golden
from appliance.inference.adapters import AdapterPlan, Adapters
from appliance.inference.catalog import REMOVING, Catalog
from appliance.inference.client import InferenceClient
from appliance.inference.estimate import Cached, Estimate, estimate
from appliance.inference.genai_importing import GenaiImporter, GenaiPlan, IncomingGenai, is_genai
from appliance.inference.importing import Importer, Incoming, Plan, Wish
from appliance.inference.load_settings import LoadSettings
from appliance.inference.manifest import Manifest
from appliance.inference.media import Media
from appliance.inference.model_projectors import ModelProjectors, ProjectorPlan
from appliance.inference.onnx_importing import FolderImporter, FolderPlan, FolderWish, IncomingOnnx
from appliance.inference.requantise import Requantiser, Requantising
from appliance.inference.source import Source, SourceFolder
from appliance.inference.uploads import UPLOADS, ModelUploads
from appliance.inference.verify import verify_files
from appliance.machine import resources

log = logs.get(__name__)

_NO_NAMES: Final = frozenset({"aliases", "import", "media", "running", "uploads"})
"""By these, addresses of the API mean something else than a model."""
_MOMENT_S: Final = 1.0
"""A list waits so long for headers that nobody has read since the start; a child of its own reads each."""


class ModelStore:
    """Safe to share between threads; remembers the headers that it has read."""

    def __init__(self, settings: Settings, gateway: Gateway) -> None:
        self._settings = settings
        self._gateway = gateway
        self._catalog = Catalog(settings.models)
        self._client = InferenceClient(settings.inference_socket)
        self._importer = Importer(settings, lambda name: name in _NO_NAMES or name in gateway.aliases.all())
        self._folders = FolderImporter(settings, self._importer)
        self._chats = GenaiImporter(settings, self._importer)
        self._requantiser = Requantiser(settings, self._importer)
        self._adapters = Adapters(settings.models)
        self._projectors = ModelProjectors(settings.models, self._adapters.lock)
        self.uploads = ModelUploads(settings.models / UPLOADS)
        self.media = Media(settings.storage.media)
        self._headers = gateway.headers
        self._removing = threading.Lock()

    def plan(self, wish: Wish, source: Source | None = None) -> Plan:
        """What an import would bring; see Importer.plan."""
        return self._importer.plan(wish, source)

    def begin(self, wish: Wish, source: Source | None = None) -> Incoming:
        """Start an import; see Importer.begin."""
        return self._importer.begin(wish, source)

    def plan_folder(self, wish: FolderWish, held: SourceFolder | None = None) -> FolderPlan | GenaiPlan:
        """What an import of an ONNX model's folder would bring; see FolderImporter.plan and GenaiImporter.plan."""
        return self._chats.plan(wish, held) if is_genai(wish.path, held) else self._folders.plan(wish, held)

    def begin_folder(self, wish: FolderWish, held: SourceFolder | None = None) -> IncomingOnnx | IncomingGenai:
        """Start such an import; see FolderImporter.begin and GenaiImporter.begin."""
        return self._chats.begin(wish, held) if is_genai(wish.path, held) else self._folders.begin(wish, held)

    def requantise(self, model: str, to: str, *, plan: bool = False) -> Requantising:
        """Start to make a smaller model out of one that is there; see Requantiser.begin."""
        return self._requantiser.begin(self._catalog.folder(self._gateway.aliases.resolve(model)).name, to, plan=plan)

    def plan_adapter(self, model: str, source: Source) -> AdapterPlan:
        """What a LoRA file would bring to a model; see Adapters.plan."""
        return self._adapters.plan(model, source)

    def add_adapter(self, model: str, source: Source, shared: str = "") -> AdapterPlan:
        """Bring it; see Adapters.add."""
        return self._adapters.add(model, source, shared)

    def remove_adapter(self, model: str, name: str) -> None:
        """Erase an adapter; the model goes without it when it is loaded the next time. See Adapters.remove."""
        wish = self._gateway.load_settings.get(model)
        if wish.adapter == name:
            plain = LoadSettings()
            update = {"adapter": plain.adapter, "adapter_scale": plain.adapter_scale}
            self._gateway.load_settings.put(model, wish.model_copy(update=update))
        self._adapters.remove(model, name)

    def plan_projector(self, model: str, source: Source) -> ProjectorPlan:
        """What a projector would bring to a model that is here; see ModelProjectors.plan."""
        return self._projectors.plan(model, source)

    def add_projector(self, model: str, source: Source, shared: str) -> ProjectorPlan:
        """Bring it; the model is loaded with it the next time. See ModelProjectors.add."""
        plan = self._projectors.add(model, source, shared)
        self._unload(model)
        return plan

    def remove_projector(self, model: str) -> None:
        """Erase it once the model's answers have ended. See ModelProjectors.remove."""
        self._projectors.remove(model)
        self._unload(model)

    def sweep(self) -> None:
        """Clear away what a crash left of imports and removals, and uploads that nobody went on with."""
        self._importer.sweep()
        self.uploads.sweep()

    def manifest(self, model: str) -> Manifest:
        """Raises ModelNotFoundError, ModelDamagedError."""
        return self._catalog.get(model)

    def estimate(self, manifest: Manifest, held: int, wish: LoadSettings | None = None) -> Estimate | None:
        """The memory it takes or would take; `held` is what it has now. None if its file can't be understood.

        `wish` are settings to try; else those that are stored count.
        """
        wish = wish or self._gateway.load_settings.get(manifest.id)
        try:
            header = self._headers.of(manifest)
        except HakoError as error:
            log.warning("model_not_estimated", model=manifest.id, code=error.code, detail=error.detail)
            return None
        return self._estimated(manifest, header, held - _mapped(self._states()), wish)

    def estimates(self) -> dict[str, Estimate]:
        """`estimate` of every model by id, at its own settings.

        Not of those whose header can't be understood, nor of those that a moment is not enough to read: they are read
        meanwhile.
        """
        known, states = self._catalog.all(), self._states()
        self._headers.prepare(known.values(), _MOMENT_S)
        wish_of, mapped = self._gateway.load_settings.getter(), _mapped(states)
        return {
            model: self._estimated(
                manifest,
                self._headers.seen(manifest),
                states.get(model, {}).get("memory_bytes", 0) - mapped,
                wish_of(model),
            )
            for model, manifest in known.items()
            if self._headers.is_settled(manifest)
        }

    def memory(self) -> tuple[int, int]:
        """Bytes of the machine's memory, and how many of them a model could have now without another one going."""
        return resources.total(), max(0, resources.available() - _mapped(self._states()))

    def _estimated(self, manifest: Manifest, header: Cached | None, held: int, wish: LoadSettings) -> Estimate:
        inference, places = self._settings.inference, extras.places(manifest.engine)
        return estimate(
            manifest.size, manifest.context, inference, header=header, held=held, parallel=places, wish=wish
        )

    def running(self) -> dict[str, dict[str, Any]]:
        """The models that are loaded or being loaded, by id; none while nobody can be asked."""
        return {model: now for model, now in self._states().items() if now["state"] in ("loaded", "loading")}

    def _states(self) -> dict[str, dict[str, Any]]:
        try:
            return self._client.status()
        except InferenceUnreachableError:
            return {}

    def verify(self, model: str) -> Manifest:
        """Compare every file with its digest now.

        Raises:
            ModelDamagedError: one differs.
        """
        manifest = self._catalog.get(model)
        verify_files(self._catalog.folder(model), manifest)
        return manifest

    def renew(self, model: str) -> bool:
        """Take what the model answers from its next load on for right; whether another answer was recorded.

        Raises:
            ModelNotFoundError: no such model.
            ModelDamagedError: a file is not what it was when it came; then its answers can't be right.
        """
        self.verify(model)
        return golden.renew(self._settings.golden / model)

    def defaults(self) -> set[str]:
        """The ids of the models that the box itself relies on."""
        return {self._gateway.aliases.resolve(name) for name in self._gateway.defaults.own()}

    def make_default(self, model: str) -> None:
        """Use it from now on where no model is named, as its kind can be: for chats, or to put searches in order.

        Raises:
            ModelNotFoundError, ModelDamagedError: no such model of this box.
            DefaultFixedError: an embedding model.
        """
        with self._removing:
            manifest = self._catalog.get(model)
            if manifest.kind == "embedding":
                raise DefaultFixedError(name=manifest.name)
            self._gateway.defaults.choose(manifest.kind, manifest.id)

    def drop_default(self, model: str) -> None:
        """Searches use this reranker no more, and no other one; nothing happens where they don't.

        Raises:
            ModelNotFoundError, ModelDamagedError: no such model of this box.
            DefaultNeededError: no reranker; the box can't do without the other ones.
        """
        manifest = self._catalog.get(model)
        if manifest.kind != "reranker":
            raise DefaultNeededError(name=manifest.name)
        if self._gateway.aliases.resolve(self._gateway.defaults.reranker) == manifest.id:
            self._gateway.defaults.choose("reranker", "")

    def remove(self, model: str) -> None:
        """Unload it and erase its files, aliases and settings; also one whose manifest is damaged.

        Raises:
            ModelNotFoundError: no such model.
            ModelInUseError: the default, or one that is loading or answering.
            InferenceUnreachableError: nobody can say whether it is.
        """
        folder = self._catalog.folder(model)
        with self._removing:
            if not self._catalog.has(model):
                raise ModelNotFoundError(name=model)
            self._demand_idle(model)
            self._unload(model)
            leaving = folder.with_name(model + REMOVING)
            shutil.rmtree(leaving, ignore_errors=True)
            folder.rename(leaving)
            golden.renew(self._settings.golden / model)
            self._unload(model)  # who asked for it in between
            self._gateway.aliases.drop(model)
            self._gateway.load_settings.forget(model)
            shutil.rmtree(leaving, ignore_errors=True)

    def _demand_idle(self, model: str) -> None:
        now = self._client.status().get(model, {})
        if model in self.defaults() or now.get("busy") or now.get("waiting") or now.get("state") == "loading":
            raise ModelInUseError(name=model)

    def _unload(self, model: str) -> None:
        try:
            self._client.unload(model)
        except (ModelNotFoundError, ModelDamagedError):
            return  # it was never loaded


def _mapped(states: Mapping[str, Mapping[str, Any]]) -> int:
    """What models have in use of files, which the kernel calls free, see `inference.room`."""
    return sum(int(now.get("mapped_bytes", 0)) for now in states.values())
