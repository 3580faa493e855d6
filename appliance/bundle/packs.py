"""The models in a bundle: one folder each with its manifest, or a bare GGUF file; checked, then put into the store."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from pydantic import TypeAdapter, ValidationError

from appliance import durable
from appliance.bundle.index import File, Index
from appliance.errors import BundleInvalidError, ConflictError
from appliance.inference import manifest as manifests
from appliance.inference.catalog import UNFINISHED, Catalog
from appliance.inference.examine import examine
from appliance.inference.importing import Importer, Wish, plain_name
from appliance.inference.manifest import Manifest, ModelId

_GGUF: Final = ".gguf"
_ENGINES: Final = frozenset({"llama", "onnx", "ctransformers"})
_GGUF_ENGINES: Final[Mapping[str, Literal["llama", "ctransformers"]]] = {
    "llama": "llama",
    "ctransformers": "ctransformers",
}
_BESIDE: Final = re.compile(r"(LICEN[CS]E|NOTICE|README)[A-Za-z0-9._-]{0,60}|sbom\.cdx\.json|reference\.json")
"""What may lie beside a model without being one of its files: no engine opens any of these."""
_MANIFEST_BYTES: Final = 1 << 20
_ID: Final = TypeAdapter(ModelId)

State = Literal["new", "there", "other"]
"""Not on this box; there with these very files; or its name belongs to something else here."""


@dataclass(frozen=True)
class PackedModel:
    """One model of a bundle. Without a manifest it is a bare file, and its header says what it is."""

    id: str
    folder: str
    """Its folder in the bundle; empty for a bare file."""
    files: tuple[File, ...]
    manifest: Manifest | None

    @property
    def size(self) -> int:
        """Bytes of its files together."""
        return sum(file.size for file in self.files)


def models_of(index: Index, read: Callable[[File], bytes]) -> tuple[PackedModel, ...]:
    """What a bundle of models brings. `read` gives the content of one small file, checked against its digest.

    Raises:
        BundleInvalidError: a file belongs to no model, or a manifest says something else than the index.
    """
    folders: dict[str, list[File]] = {}
    found = []
    for file in index.files:
        parts = PurePosixPath(file.path).parts
        if file.mode != "file" or len(parts) > 2:
            raise BundleInvalidError("a program or a deeper folder among models")
        if len(parts) == 2:
            folders.setdefault(parts[0], []).append(file)
        elif file.path.lower().endswith(_GGUF):
            found.append(PackedModel(plain_name(file.path[: -len(_GGUF)]) or "model", "", (file,), None))
        else:
            raise BundleInvalidError("a file that belongs to no model")
    for folder, files in folders.items():
        manifest = _manifest(folder, files, read)
        found.append(PackedModel(manifest.id, folder, tuple(files), manifest))
    if len({model.id for model in found}) != len(found):
        raise BundleInvalidError("two models of one name")
    return tuple(sorted(found, key=lambda model: model.id))


def _manifest(folder: str, files: list[File], read: Callable[[File], bytes]) -> Manifest:
    try:
        _ID.validate_python(folder)
        (own,) = (file for file in files if PurePosixPath(file.path).name == manifests.FILE_NAME)
        manifest = Manifest.model_validate_json(read(own) if own.size <= _MANIFEST_BYTES else b"")
    except (ValidationError, ValueError) as error:
        raise BundleInvalidError(f"model {folder[:100]}: no manifest") from error
    stated = {name: (file.sha256, file.size) for name, file in manifest.files.items()}
    named = {PurePosixPath(file.path).name: (file.sha256, file.size) for file in files if file is not own}
    signed = {name: said for name, said in named.items() if name in stated or not _BESIDE.fullmatch(name)}
    wrong = folder.endswith(UNFINISHED) or manifest.engine not in _ENGINES
    if wrong or manifest.id != folder or signed != stated:
        raise BundleInvalidError(f"model {folder[:100]}: its manifest says something else than the index")
    return manifest


class Store:
    """The models of this box, as bundles meet them."""

    def __init__(self, models: Path, importer: Importer, is_taken: Callable[[str], bool]) -> None:
        """`is_taken` says whether a name belongs to an alias."""
        self._models = models
        self._catalog = Catalog(models)
        self._importer = importer
        self._is_taken = is_taken

    def state(self, model: PackedModel) -> State:
        """Whether it is on this box."""
        if model.manifest is None:
            return "there" if model.files[0].sha256 in self.files() else "new"
        known = self._catalog.all().get(model.id)
        if known is not None and (known.files, known.engine) == (model.manifest.files, model.manifest.engine):
            return "there"
        taken = self._is_taken(model.id) or (self._models / model.id).exists()
        return "other" if taken else "new"

    def models(self) -> dict[str, Manifest]:
        """Every model of this box by id."""
        return self._catalog.all()

    def files(self) -> dict[str, Path]:
        """Every file of every model by its SHA-256, as its manifest states it."""
        return {
            file.sha256: self._models / manifest.id / name
            for manifest in self._catalog.all().values()
            for name, file in manifest.files.items()
        }

    def check(self, model: PackedModel, files: Path, licence: str) -> None:
        """Read the headers of its files in a jailed child, before the model can be seen; `files` holds the bundle's.

        Raises:
            ModelFileError: not a whole GGUF file.
            ModelUnsupportedError, ModelLegacyError, EngineMissingError: no model that can run here.
            ProjectorError, ProjectorWidthError: its projector is none, or another model's.
        """
        for file in model.files:
            path, manifest = files / file.path, model.manifest
            if not file.path.lower().endswith(_GGUF):
                continue
            name = PurePosixPath(file.path).name
            is_main = manifest is None or (manifest.engine in _GGUF_ENGINES and name == manifest.entry)
            if is_main:
                engine = _GGUF_ENGINES.get(manifest.engine, "llama") if manifest else "llama"
                beside = manifest.projector if manifest else None
                projector = str((files / model.folder / beside).absolute()) if beside else ""
                wish = Wish(path=str(path.absolute()), licence=licence, engine=engine, projector=projector)
                self._importer.plan(wish)
                continue
            opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                examine(opened, name)
            finally:
                os.close(opened)

    def place(self, model: PackedModel, files: Path, licence: str, source: str) -> None:
        """Let a model that is new be seen; nothing happens to one that is there.

        Raises:
            ConflictError: somebody took its name meanwhile.
        """
        state = self.state(model)
        if state == "other":
            raise ConflictError(name=model.id)
        if state == "there":
            return
        if model.manifest is None:
            self._importer.sweep()  # of a run that was cut off: its half would keep the file's name
            wish = Wish(path=str((files / model.files[0].path).absolute()), licence=licence, source=source, link=True)
            with self._importer.begin(wish) as incoming:
                for _done in incoming.copy():
                    pass
                incoming.finish()
        else:
            (files / model.folder).rename(self._models / model.id)
            durable.sync(self._models)
