"""Brings an ONNX model's folder of this machine into the store: examined, copied or linked, digested.

It takes what publishers' export tools write: `model.onnx`, `tokenizer.json` (or `vocab.txt` with
`tokenizer_config.json`), `config.json`, and where they are there
the files that the weights were put into, `1_Pooling/config.json` and `reference.json`. A model's folder appears under
its name complete, or not at all.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from appliance import modes
from appliance.config import Settings
from appliance.errors import (
    BadInputError,
    ModelKindUnclearError,
    ModelRoleError,
    ModelVocabularyError,
)
from appliance.inference import golden, onnx_roles, prefixes
from appliance.inference.catalog import Catalog
from appliance.inference.estimate import Estimate, estimate
from appliance.inference.examine import (
    examine_casing,
    examine_config,
    examine_onnx,
    examine_pieces,
    examine_pooling,
    examine_tokenizer,
)
from appliance.inference.hf_config import Config, Pooling
from appliance.inference.importing import (
    UNKNOWN_LANGUAGE,
    Importer,
    demand_room,
)
from appliance.inference.incoming_folder import IncomingFolder
from appliance.inference.manifest import Manifest
from appliance.inference.model_folder import CONFIG, PIECES, TOKENIZER, TOKENIZER_CONFIG, ModelFolder
from appliance.inference.onnx_header import OnnxHeader
from appliance.inference.onnx_roles import Kind, Role
from appliance.inference.source import Source, SourceFolder
from appliance.inference.unigram import Vocabulary
from appliance.inference.wordpiece import Casing

ENGINE: Final = "onnx"
ENTRY: Final = "model.onnx"
VOCABULARIES: Final = {"unigram": "sentencepiece.model", "wordpiece": "wordpiece.json"}
"""What the engine reads instead of `tokenizer.json`, which is kept beside it."""


@dataclass(frozen=True, kw_only=True)
class FolderWish:
    """What should be imported, and what only a person can say of it."""

    path: str
    """Absolute. What is open already is read instead."""
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
    """By the model's name if left out, see `prefixes`."""
    passage_prefix: str | None = None

    def demand_no_vectors(self) -> None:
        """Raises BadInputError if something is said that has no meaning for a chat model."""
        for field in ("kind", "pooling", "query_prefix", "passage_prefix"):
            if getattr(self, field) is not None:
                raise BadInputError("not for a chat model", field=field)


@dataclass(frozen=True)
class FolderPlan:
    """What an import would make of the folder; nothing is written for it."""

    model: str
    name: str
    role: Role
    header: OnnxHeader
    config: Config
    vocabulary: Vocabulary
    casing: Casing | None
    """How texts are cut, where the vocabulary doesn't say it itself."""
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

    def plan(self, wish: FolderWish, held: SourceFolder | None = None) -> FolderPlan:
        """Look at the folder and say what it is; `held` is closed then.

        Raises:
            ModelPathError: no folder, or something in it that is not an ordinary file.
            ModelFolderError: a file is missing.
            ModelFileError: one is damaged, too long, or not what its name says.
            ModelVocabularyError: a vocabulary that the engine doesn't read.
            ModelRoleError: neither an embedding model nor a reranker.
            ModelKindUnclearError: only a person can say which.
        """
        with ModelFolder(wish.path, held) as folder:
            return self._plan(folder, wish)

    def begin(self, wish: FolderWish, held: SourceFolder | None = None) -> "IncomingOnnx":
        """Make the folder that the model will be in; nothing is copied yet. `held` is closed with the import.

        Raises:
            DiskFullError: no room; nothing was written.
            ConflictError: the same model is being imported.
            ModelPathError, ModelFolderError, ModelFileError, ModelVocabularyError, ModelRoleError,
            ModelKindUnclearError: as `plan`.
        """
        folder = ModelFolder(wish.path, held)
        try:
            plan = self._plan(folder, wish)
            models = self._settings.models
            models.mkdir(mode=modes.folder(), parents=True, exist_ok=True)
            demand_room(models, len(plan.vocabulary.model) + (0 if wish.link else plan.size))
            return IncomingOnnx(self._catalog, models, folder, wish, plan)
        except BaseException:
            folder.close()
            raise

    def _plan(self, folder: ModelFolder, wish: FolderWish) -> FolderPlan:
        header = examine_onnx(folder.graph.descriptor, folder.graph.name)
        folder.open_weights(header)
        config = examine_config(folder.config.descriptor, CONFIG)
        role = _role(header, config, wish.kind, folder.name)
        pooling = _pooling(folder, wish, role)
        vocabulary, casing = _vocabulary(folder)
        if vocabulary.size > config.vocabulary:
            raise ModelVocabularyError("more pieces than vectors", name=next(iter(folder.vocabulary)))
        usual = prefixes.of(folder.name, config.name) if role.kind == "embedding" else prefixes.NONE
        query, passage = usual.unless(wish.query_prefix, wish.passage_prefix)
        return FolderPlan(
            model=self._importer.free_id(folder.name),
            name=(wish.name or folder.name)[:200],
            role=role,
            header=header,
            config=config,
            vocabulary=vocabulary,
            casing=casing,
            pooling=pooling,
            query_prefix=query,
            passage_prefix=passage,
            size=folder.size,
            languages=wish.languages or (UNKNOWN_LANGUAGE,),
            estimate=estimate(folder.size, config.context, self._settings.inference),
        )


class IncomingOnnx(IncomingFolder[ModelFolder, FolderPlan]):
    """An embedding model's or a reranker's; see IncomingFolder."""

    small = unread = (TOKENIZER, PIECES, TOKENIZER_CONFIG, CONFIG)

    def __init__(self, catalog: Catalog, models: Path, source: ModelFolder, wish: FolderWish, plan: FolderPlan) -> None:
        super().__init__(catalog, models, source, plan, link=wish.link)
        self._wish = wish

    def _parts(self) -> Iterator[tuple[str, Source]]:
        yield ENTRY, self._source.graph
        yield from self._source.beside.items()
        yield from self._source.vocabulary.items()
        yield CONFIG, self._source.config

    def _made(self) -> dict[str, bytes]:
        return {VOCABULARIES[self.plan.vocabulary.kind]: self.plan.vocabulary.model}

    def _beside(self) -> dict[str, bytes]:
        # As that of a starter model: it may come later, and be renewed.
        return {golden.REFERENCE: self._source.reference.read(0)} if self._source.reference else {}

    def _looked(self) -> Iterator[tuple[str, Callable[[int, str], object], object]]:
        yield ENTRY, examine_onnx, self.plan.header
        if casing := self.plan.casing:
            yield TOKENIZER_CONFIG, examine_casing, casing
            yield PIECES, partial(examine_pieces, casing=casing), self.plan.vocabulary
        else:
            yield TOKENIZER, examine_tokenizer, self.plan.vocabulary
        yield CONFIG, examine_config, self.plan.config

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
            architecture=plan.config.architecture,
            quantization=plan.header.quantization,
            parameters=plan.header.parameters,
            dimensions=plan.role.dimensions or None,
            query_prefix=plan.query_prefix,
            passage_prefix=plan.passage_prefix,
            pooling=plan.pooling,
        )


def _vocabulary(folder: ModelFolder) -> tuple[Vocabulary, Casing | None]:
    if TOKENIZER in folder.vocabulary:
        return examine_tokenizer(folder.vocabulary[TOKENIZER].descriptor, TOKENIZER), None
    casing = examine_casing(folder.vocabulary[TOKENIZER_CONFIG].descriptor, TOKENIZER_CONFIG)
    return examine_pieces(folder.vocabulary[PIECES].descriptor, PIECES, casing), casing


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
