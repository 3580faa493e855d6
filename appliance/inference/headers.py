"""The headers of the models in the store, each read once: it takes a child of its own to read one."""

import os
import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

from appliance import logs
from appliance.errors import HakoError
from appliance.inference import genai, legacy
from appliance.inference.catalog import Catalog
from appliance.inference.estimate import Cached
from appliance.inference.examine import examine, examine_genai, examine_template
from appliance.inference.manifest import Manifest

log = logs.get(__name__)

T = TypeVar("T")


class Headers:
    """Remembers them by the digest of the file. Safe to share between threads."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._known: dict[str, Cached] = {}
        self._unreadable: set[str] = set()
        self._templates: dict[str, str] = {}
        self._template = threading.Lock()
        self._wanted: dict[str, Manifest] = {}
        """What is to be read in the background, by digest."""
        self._change = threading.Condition()
        self._is_reading = False

    def of(self, manifest: Manifest) -> Cached | None:
        """The header of a model; None for one that keeps nothing.

        Raises:
            HakoError: it can't be read.
        """
        reader = _reader(manifest.engine)
        if reader is None:
            return None
        digest = _digest(manifest)
        known = self._known.get(digest)
        if known is None:
            known = self._known[digest] = self._read_with(reader, manifest)
        return known

    def template(self, manifest: Manifest) -> str:
        """A model's own chat template; empty for one whose main file has none, or none that can be read.

        Who asks first waits for a child to read it; whatever came of that is remembered.
        """
        if manifest.engine not in ("llama", legacy.ENGINE):
            return ""
        digest = _digest(manifest)
        with self._template:
            if digest not in self._templates:
                try:
                    self._templates[digest] = self._read_with(examine_template, manifest)
                except HakoError as error:
                    log.warning("template_not_read", model=manifest.id, code=error.code, detail=error.detail)
                    self._templates[digest] = ""
            return self._templates[digest]

    def architecture(self, manifest: Manifest) -> str:
        """As the manifest tells it, else the header if that was read before; empty if neither does."""
        return manifest.architecture or str(getattr(self.seen(manifest), "architecture", ""))

    def _read_with(self, reader: Callable[[int, str], T], manifest: Manifest) -> T:
        path = self._catalog.folder(manifest.id) / manifest.entry
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise HakoError(f"{path}: {error.strerror}") from error
        try:
            return reader(descriptor, manifest.name)
        finally:
            os.close(descriptor)

    def find(self, manifest: Manifest) -> Cached | None:
        """The header where the model has one that can be read. A model without is loaded all the same."""
        try:
            return self.of(manifest)
        except HakoError as error:
            log.warning("model_not_estimated", model=manifest.id, code=error.code, detail=error.detail)
            return None

    def prepare(self, manifests: Iterable[Manifest], within_s: float) -> None:
        """Read in the background what isn't known yet, and wait so long for it; afterwards `seen` has what was read."""
        wanted = {digest: model for model in manifests if (digest := self._unseen(model))}
        if not wanted:
            return
        with self._change:
            self._wanted |= wanted
            if not self._is_reading:
                self._is_reading = True
                threading.Thread(target=self._read, name="headers", daemon=True).start()
            self._change.wait_for(lambda: not self._wanted.keys() & wanted.keys(), within_s)

    def seen(self, manifest: Manifest) -> Cached | None:
        """As `find`, but reads nothing: None also for what isn't known yet, or can't be."""
        return self._known.get(_digest(manifest))

    def is_settled(self, manifest: Manifest) -> bool:
        """Whether all is known that an estimate needs: the header, or that the model has none."""
        return _reader(manifest.engine) is None or _digest(manifest) in self._known

    def _unseen(self, manifest: Manifest) -> str:
        """The digest of what can be read and wasn't; one that can't be understood is not tried again here."""
        digest = _digest(manifest)
        return "" if self.is_settled(manifest) or digest in self._unreadable else digest

    def _read(self) -> None:
        """One after the other: this is beside what people wait for."""
        while True:
            with self._change:
                if not self._wanted:
                    self._is_reading = False
                    return
                digest, manifest = next(iter(self._wanted.items()))
            if self.find(manifest) is None:
                self._unreadable.add(digest)
            with self._change:
                self._wanted.pop(digest, None)
                self._change.notify_all()


def _digest(manifest: Manifest) -> str:
    return manifest.files[manifest.entry].sha256


def _reader(engine: str) -> Callable[[int, str], Cached] | None:
    """For models that keep what they have read, and say in their main file how much that takes."""
    if engine in ("llama", legacy.ENGINE):
        return examine
    return examine_genai if engine == genai.ENGINE else None
