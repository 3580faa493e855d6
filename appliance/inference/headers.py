"""The headers of the models in the store, each read once: it takes a child of its own to read one."""

import os
from collections.abc import Callable

from appliance import logs
from appliance.errors import HakoError
from appliance.inference import genai, legacy
from appliance.inference.catalog import Catalog
from appliance.inference.estimate import Cached
from appliance.inference.examine import examine, examine_genai
from appliance.inference.manifest import Manifest

log = logs.get(__name__)


class Headers:
    """Remembers them by the digest of the file. Safe to share between threads."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._known: dict[str, Cached] = {}

    def of(self, manifest: Manifest) -> Cached | None:
        """The header of a model; None for one that keeps nothing.

        Raises:
            HakoError: it can't be read.
        """
        reader = _reader(manifest.engine)
        if reader is None:
            return None
        digest = manifest.files[manifest.entry].sha256
        known = self._known.get(digest)
        if known is None:
            path = self._catalog.folder(manifest.id) / manifest.entry
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise HakoError(f"{path}: {error.strerror}") from error
            try:
                known = self._known[digest] = reader(descriptor, manifest.name)
            finally:
                os.close(descriptor)
        return known

    def find(self, manifest: Manifest) -> Cached | None:
        """The header where the model has one that can be read. A model without is loaded all the same."""
        try:
            return self.of(manifest)
        except HakoError as error:
            log.warning("model_not_estimated", model=manifest.id, code=error.code, detail=error.detail)
            return None


def _reader(engine: str) -> Callable[[int, str], Cached] | None:
    """For models that keep what they have read, and say in their main file how much that takes."""
    if engine in ("llama", legacy.ENGINE):
        return examine
    return examine_genai if engine == genai.ENGINE else None
