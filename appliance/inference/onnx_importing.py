"""Brings an ONNX model's folder of this machine into the store: examined, copied or linked, digested.

It takes what publishers' export tools write: `model.onnx`, `tokenizer.json`, `config.json`, and where they are there
the files that the weights were put into and `1_Pooling/config.json`. A model's folder appears under its name complete,
or not at all.
"""

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance import durable
from appliance.closing import Closing
from appliance.config import Settings
from appliance.errors import (
    BadInputError,
    ConflictError,
    ModelFileError,
    ModelKindUnclearError,
    ModelRoleError,
    ModelVocabularyError,
)
from appliance.inference import manifest as manifests
from appliance.inference import onnx_roles
from appliance.inference.catalog import INCOMING, Catalog
from appliance.inference.estimate import Estimate, estimate
from appliance.inference.examine import examine_config, examine_onnx, examine_pooling, examine_tokenizer
from appliance.inference.hf_config import Config, Pooling
from appliance.inference.importing import (
    UNKNOWN_LANGUAGE,
    Imported,
    Importer,
    demand_room,
    locked,
    told,
)
from appliance.inference.manifest import Manifest, ModelFile
from appliance.inference.model_folder import CONFIG, TOKENIZER, ModelFolder
from appliance.inference.onnx_header import OnnxHeader
from appliance.inference.onnx_roles import Kind, Role
from appliance.inference.source import Source
from appliance.inference.unigram import Vocabulary

ENGINE: Final = "onnx"
ENTRY: Final = "model.onnx"
VOCABULARY: Final = "sentencepiece.model"
"""What the engine reads instead of `tokenizer.json`, which is kept beside it."""

_E5: Final = re.compile(r"(?<![a-z0-9])e5(?![a-z0-9])")
_E5_PREFIXES: Final = ("query: ", "passage: ")
_SMALL: Final = (TOKENIZER, CONFIG)


@dataclass(frozen=True, kw_only=True)
class FolderWish:
    """What should be imported, and what only a person can say of it."""

    path: str
    """Absolute."""
    licence: str
    source: str = ""
    """The folder's name if left out."""
    languages: tuple[str, ...] = ()
    name: str = ""
    link: bool = False
    """Share the weights' bytes instead of copying them; same file system only."""
    kind: Kind | None = None
    """By the names of the outputs if left out."""
    pooling: Pooling | None = None
    """By `1_Pooling/config.json` if left out, or the mean."""
    query_prefix: str | None = None
    """Those of the E5 family if left out and the name says that it is of it, or none."""
    passage_prefix: str | None = None


@dataclass(frozen=True)
class FolderPlan:
    """What an import would make of the folder; nothing is written for it."""

    model: str
    name: str
    role: Role
    header: OnnxHeader
    config: Config
    vocabulary: Vocabulary
    pooling: Pooling
    query_prefix: str
    passage_prefix: str
    size: int
    """Bytes of all files that are taken from the folder."""
    languages: tuple[str, ...]
    estimate: Estimate


class FolderImporter:
    """Uses the importer's ways into the store."""

    def __init__(self, settings: Settings, importer: Importer) -> None:
        self._settings = settings
        self._catalog = Catalog(settings.models)
        self._importer = importer

    def plan(self, wish: FolderWish) -> FolderPlan:
        """Look at the folder and say what it is.

        Raises:
            ModelPathError: no folder, or something in it that is not an ordinary file.
            ModelFolderError: a file is missing.
            ModelFileError: one is damaged, too long, or not what its name says.
            ModelVocabularyError: a vocabulary that the engine doesn't read.
            ModelRoleError: neither an embedding model nor a reranker.
            ModelKindUnclearError: only a person can say which.
        """
        with ModelFolder(wish.path) as folder:
            return self._plan(folder, wish)

    def begin(self, wish: FolderWish) -> "IncomingFolder":
        """Make the folder that the model will be in; nothing is copied yet.

        Raises:
            DiskFullError: no room; nothing was written.
            ConflictError: the same model is being imported.
            ModelPathError, ModelFolderError, ModelFileError, ModelVocabularyError, ModelRoleError,
            ModelKindUnclearError: as `plan`.
        """
        folder = ModelFolder(wish.path)
        try:
            plan = self._plan(folder, wish)
            models = self._settings.models
            models.mkdir(mode=0o700, parents=True, exist_ok=True)
            demand_room(models, len(plan.vocabulary.model) + (0 if wish.link else plan.size))
            return IncomingFolder(self._catalog, models, folder, wish, plan)
        except BaseException:
            folder.close()
            raise

    def _plan(self, folder: ModelFolder, wish: FolderWish) -> FolderPlan:
        header = examine_onnx(folder.graph.descriptor, folder.graph.name)
        folder.open_beside(header)
        config = examine_config(folder.config.descriptor, CONFIG)
        role = _role(header, config, wish.kind, folder.name)
        pooling = _pooling(folder, wish, role)
        vocabulary = examine_tokenizer(folder.tokenizer.descriptor, TOKENIZER)
        if vocabulary.size > config.vocabulary:
            raise ModelVocabularyError("more pieces than vectors", name=TOKENIZER)
        is_e5 = role.kind == "embedding" and any(_E5.search(name.lower()) for name in (folder.name, config.name))
        query, passage = _E5_PREFIXES if is_e5 else ("", "")
        return FolderPlan(
            model=self._importer.free_id(folder.name),
            name=(wish.name or folder.name)[:200],
            role=role,
            header=header,
            config=config,
            vocabulary=vocabulary,
            pooling=pooling,
            query_prefix=query if wish.query_prefix is None else wish.query_prefix,
            passage_prefix=passage if wish.passage_prefix is None else wish.passage_prefix,
            size=folder.size,
            languages=wish.languages or (UNKNOWN_LANGUAGE,),
            estimate=estimate(folder.size, config.context, self._settings.inference),
        )


class IncomingFolder(Closing):
    """One import under way: `copy` to the end, then `finish`; closing it earlier leaves nothing behind."""

    def __init__(self, catalog: Catalog, models: Path, source: ModelFolder, wish: FolderWish, plan: FolderPlan) -> None:
        self.plan = plan
        self._catalog = catalog
        self._models = models
        self._source = source
        self._wish = wish
        self._files: dict[str, ModelFile] = {}
        self._folder = models / (plan.model + INCOMING)
        try:
            self._folder.mkdir(mode=0o700)
        except FileExistsError:
            raise ConflictError(name=plan.model) from None
        self._lock = locked(self._folder)

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
            self._write(VOCABULARY, self.plan.vocabulary.model)
            digest = hashlib.sha256(self.plan.vocabulary.model).hexdigest()
            self._files[VOCABULARY] = ModelFile(sha256=digest, size=len(self.plan.vocabulary.model))

    def finish(self) -> Imported:
        """Check what has come, write the manifest, and put the model where it is seen.

        Raises:
            ModelFileError: what came is not what was looked at.
        """
        manifest = self._manifest()
        for known in self._catalog.all().values():
            if _same(known, manifest):
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

    def _parts(self) -> Iterator[tuple[str, Source]]:
        """Every file with the name that it has in the store."""
        yield ENTRY, self._source.graph
        yield from self._source.beside.items()
        yield TOKENIZER, self._source.tokenizer
        yield CONFIG, self._source.config

    def _bring(self, name: str, source: Source) -> Iterator[int]:
        target = self._folder / name
        if self._wish.link and name not in _SMALL:
            self._share(source, target)
            yield from self._read(name, source, lambda _chunk: None)
            return
        with target.open("xb") as file:
            target.chmod(0o600)
            yield from self._read(name, source, file.write)
            file.flush()
            os.fsync(file.fileno())

    def _share(self, source: Source, target: Path) -> None:
        try:
            os.link(source.name, target, src_dir_fd=self._source.descriptor, follow_symlinks=False)
        except OSError as error:
            raise BadInputError(f"hard link: {error.strerror}", field="link") from error
        shared = target.stat()
        if (shared.st_dev, shared.st_ino) != source.identity:
            raise ModelFileError("another file by now", name=source.name)

    def _read(self, name: str, source: Source, write: Callable[[bytes], object]) -> Iterator[int]:
        digest, done = hashlib.sha256(), 0
        while chunk := source.read(done):
            digest.update(chunk)
            write(chunk)
            done += len(chunk)
            yield done
        if done != source.size:
            raise ModelFileError("changed while it was read", name=source.name)
        self._files[name] = ModelFile(sha256=digest.hexdigest(), size=done)

    def _write(self, name: str, data: bytes) -> None:
        path = self._folder / name
        with path.open("xb") as file:
            path.chmod(0o600)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def _check(self) -> None:
        """What lies in the store says what was planned for."""
        looked: tuple[tuple[str, Callable[[int, str], object], object], ...] = (
            (ENTRY, examine_onnx, self.plan.header),
            (TOKENIZER, examine_tokenizer, self.plan.vocabulary),
            (CONFIG, examine_config, self.plan.config),
        )
        for name, look, expected in looked:
            with (self._folder / name).open("rb") as stored:
                if look(stored.fileno(), name) != expected:
                    raise ModelFileError("changed while it was read", name=name)

    def _manifest(self) -> Manifest:
        plan, wish = self.plan, self._wish
        return Manifest(
            id=plan.model,
            name=plan.name,
            kind=plan.role.kind,
            engine=ENGINE,
            files=self._files,
            entry=ENTRY,
            licence=wish.licence,
            source=wish.source or self._source.name,
            languages=plan.languages,
            context=plan.config.context,
            quantization=plan.header.quantization,
            parameters=plan.header.parameters,
            dimensions=plan.role.dimensions or None,
            query_prefix=plan.query_prefix,
            passage_prefix=plan.passage_prefix,
            pooling=plan.pooling,
        )


def is_folder(path: str) -> bool:
    """Whether there is a folder, not a link to one."""
    with contextlib.suppress(OSError, ValueError):
        return not os.path.islink(path) and os.path.isdir(path)  # noqa: PTH112, PTH114 - a text, maybe with a NUL in it
    return False


def _role(header: OnnxHeader, config: Config, wish: Kind | None, name: str) -> Role:
    try:
        return onnx_roles.role(header, config, wish)
    except onnx_roles.RoleError as error:
        raise ModelRoleError(str(error), name=name) from error
    except onnx_roles.UnclearError as error:
        raise ModelKindUnclearError(str(error), name=name) from error


def _pooling(folder: ModelFolder, wish: FolderWish, role: Role) -> Pooling:
    """Only embedding models have one; the operator's word goes before the folder's."""
    if wish.pooling is not None or role.kind != "embedding" or folder.pooling is None:
        return wish.pooling or "mean"
    found = examine_pooling(folder.pooling.descriptor, folder.pooling.name)
    if found is None and not role.pooled:
        raise ModelRoleError("another pooling", name=folder.name)
    return found or "mean"


def _same(known: Manifest, fresh: Manifest) -> bool:
    """The same bytes for the engine, used in the same way."""

    def used(manifest: Manifest) -> object:
        digests = {name: file.sha256 for name, file in manifest.files.items() if name not in (*_SMALL, "NOTICE")}
        ways = (manifest.kind, manifest.engine, manifest.pooling, manifest.query_prefix, manifest.passage_prefix)
        return digests, ways

    return used(known) == used(fresh)
