"""The headers of the models in the store, each read once: it takes a child of its own to read one."""

import os

from appliance import logs
from appliance.errors import HakoError
from appliance.inference import legacy
from appliance.inference.catalog import Catalog
from appliance.inference.examine import examine
from appliance.inference.gguf import Header
from appliance.inference.manifest import Manifest

log = logs.get(__name__)


class Headers:
    """Remembers them by the digest of the file. Safe to share between threads."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._known: dict[str, Header] = {}

    def of(self, manifest: Manifest) -> Header:
        """The header of a GGUF model.

        Raises:
            HakoError: it can't be read.
        """
        digest = manifest.files[manifest.entry].sha256
        known = self._known.get(digest)
        if known is None:
            path = self._catalog.folder(manifest.id) / manifest.entry
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise HakoError(f"{path}: {error.strerror}") from error
            try:
                known = self._known[digest] = examine(descriptor, manifest.name)
            finally:
                os.close(descriptor)
        return known

    def find(self, manifest: Manifest) -> Header | None:
        """The header where the model has one that can be read. A model without is loaded all the same."""
        if manifest.engine not in ("llama", legacy.ENGINE):
            return None
        try:
            return self.of(manifest)
        except HakoError as error:
            log.warning("model_not_estimated", model=manifest.id, code=error.code, detail=error.detail)
            return None
