"""The models on this box: one folder each, with a manifest."""

import re
from pathlib import Path
from typing import Final

from appliance import logs
from appliance.errors import ModelDamagedError, ModelNotFoundError
from appliance.inference import manifest
from appliance.inference.manifest import Manifest

log = logs.get(__name__)

INCOMING: Final = ".incoming"
REMOVING: Final = ".removing"
UNFINISHED: Final = (INCOMING, REMOVING)
"""Ends of the names of folders that are on their way in or out, and no models."""

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


class Catalog:
    """Reads `<folder>/<id>/model.json` anew on each call, so that an import is seen at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def folder(self, model: str) -> Path:
        """Where the files of `model` are; the id is checked, so that it can't leave the store."""
        if not _is_id(model):
            raise ModelNotFoundError(name=model[:100])
        return self._folder / model

    def get(self, model: str) -> Manifest:
        """The manifest of one model.

        Raises:
            ModelNotFoundError: no such model.
            ModelDamagedError: its manifest can't be read.
        """
        folder = self.folder(model)
        if not self.has(model):
            raise ModelNotFoundError(name=model)
        return manifest.read(folder)

    def has(self, model: str) -> bool:
        """Whether there is such a model, be its manifest readable or not."""
        return _is_id(model) and (self._folder / model / manifest.FILE_NAME).is_file()

    def all(self) -> dict[str, Manifest]:
        """Every readable model by id, sorted; a damaged manifest is logged and left out."""
        found: dict[str, Manifest] = {}
        if not self._folder.is_dir():
            return found
        for folder in sorted(self._folder.iterdir()):
            if not _is_id(folder.name) or not (folder / manifest.FILE_NAME).is_file():
                continue
            try:
                found[folder.name] = manifest.read(folder)
            except ModelDamagedError as error:
                log.warning("manifest_damaged", model=folder.name, detail=error.detail)
        return found

    def damaged(self) -> list[str]:
        """The ids of those whose manifest can't be read, sorted."""
        found: list[str] = []
        for folder in sorted(self._folder.iterdir()) if self._folder.is_dir() else ():
            if self.has(folder.name):
                try:
                    manifest.read(folder)
                except ModelDamagedError:
                    found.append(folder.name)
        return found


def _is_id(name: str) -> bool:
    return bool(_ID.fullmatch(name)) and not name.endswith(UNFINISHED)
