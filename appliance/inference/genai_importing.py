"""Brings a chat model's folder, as onnxruntime-genai's own tool makes it, into the store.

Taken are `genai_config.json`, the graph that it names, the files with the graph's weights, `tokenizer.json`,
`tokenizer_config.json` and, where it is there, `chat_template.jinja`; nothing else.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance import modes
from appliance.config import Settings
from appliance.errors import ModelFileError, ModelGenaiError
from appliance.inference import extras, genai, genai_config, hf_tokenizer, onnx_header
from appliance.inference.catalog import Catalog
from appliance.inference.estimate import Estimate, estimate
from appliance.inference.examine import examine_genai, examine_onnx, examine_tokens, examine_words
from appliance.inference.genai import CONFIG, TEMPLATE, TOKENIZER, TOKENIZER_CONFIG
from appliance.inference.genai_config import GenaiConfig
from appliance.inference.importing import UNKNOWN_LANGUAGE, Importer, demand_room, size_class_of
from appliance.inference.incoming_folder import IncomingFolder, is_folder
from appliance.inference.json_reader import DoubtfulError
from appliance.inference.manifest import Manifest, SizeClass
from appliance.inference.onnx_header import OnnxHeader
from appliance.inference.onnx_importing import FolderWish
from appliance.inference.opened_folder import OpenedFolder
from appliance.inference.source import Source, SourceFolder

_KEPT: Final = (CONFIG, TEMPLATE, TOKENIZER, TOKENIZER_CONFIG)


class GenaiFolder(OpenedFolder):
    """Its settings and vocabulary, and once the settings are read its graph; see OpenedFolder for what is raised."""

    config: Source
    tokenizer: Source
    words: Source
    template: Source | None
    graph: Source | None = None

    def _open_all(self) -> None:
        self.config = self._open(CONFIG, genai_config.FILE_BYTES)
        self.tokenizer = self._open(TOKENIZER, hf_tokenizer.VOCABULARY_BYTES)
        self.words = self._open(TOKENIZER_CONFIG, hf_tokenizer.CONFIG_BYTES)
        self.template = self._opened(self.descriptor, TEMPLATE)

    def open_graph(self, config: GenaiConfig) -> Source:
        """The graph that the settings name."""
        self.graph = self._open(config.file, onnx_header.FILE_BYTES)
        return self.graph

    def demand_template(self) -> None:
        """Raises ModelFileError if there is one that is none."""
        if self.template is not None:
            try:
                hf_tokenizer.decoded(os.pread(self.template.descriptor, hf_tokenizer.TEMPLATE_BYTES + 1, 0))
            except (DoubtfulError, OSError) as error:
                raise ModelFileError(str(error), name=TEMPLATE) from error

    @property
    def parts(self) -> list[Source]:
        """All files that a model is made of."""
        beside = [file for file in (self.graph, self.template) if file is not None]
        return [self.config, *beside, *self.beside.values(), self.tokenizer, self.words]


@dataclass(frozen=True)
class GenaiPlan:
    """What an import would make of the folder; nothing is written for it."""

    model: str
    name: str
    config: GenaiConfig
    header: OnnxHeader
    tokens: int
    """Of the vocabulary."""
    has_own_words: bool
    """Whether the template is in `tokenizer_config.json`."""
    has_template: bool
    size: int
    """Bytes of all files that are taken from the folder."""
    size_class: SizeClass
    languages: tuple[str, ...]
    estimate: Estimate


class GenaiImporter:
    """Uses the importer's ways into the store."""

    def __init__(self, settings: Settings, importer: Importer) -> None:
        self._settings = settings
        self._catalog = Catalog(settings.models)
        self._importer = importer

    def plan(self, wish: FolderWish, held: SourceFolder | None = None) -> GenaiPlan:
        """Look at the folder and say what it is; `held` is closed then.

        Raises:
            BadInputError: something is wished that only models with vectors have.
            GenaiMissingError: the engine is not installed.
            ModelPathError: no folder, or something in it that is not an ordinary file.
            ModelFolderError: a file is missing.
            ModelFileError: one is damaged, too long, or not what its name says.
            ModelGenaiError: whole, but more than a plain text model, or its files don't fit together.
        """
        with GenaiFolder(wish.path, held) as folder:
            return self._plan(folder, wish)

    def begin(self, wish: FolderWish, held: SourceFolder | None = None) -> "IncomingGenai":
        """Make the folder that the model will be in; nothing is copied yet. `held` is closed with the import.

        Raises:
            DiskFullError: no room; nothing was written.
            ConflictError: the same model is being imported.
            BadInputError, GenaiMissingError, ModelPathError, ModelFolderError, ModelFileError, ModelGenaiError:
                as `plan`.
        """
        folder = GenaiFolder(wish.path, held)
        try:
            plan = self._plan(folder, wish)
            models = self._settings.models
            models.mkdir(mode=modes.folder(), parents=True, exist_ok=True)
            if not wish.link:
                demand_room(models, plan.size)
            return IncomingGenai(self._catalog, models, folder, wish, plan)
        except BaseException:
            folder.close()
            raise

    def _plan(self, folder: GenaiFolder, wish: FolderWish) -> GenaiPlan:
        wish.demand_no_vectors()
        if missing := extras.missing(genai.ENGINE, folder.name):
            raise missing
        try:
            config = examine_genai(folder.config.descriptor, CONFIG)
        except ModelFileError as error:
            raise ModelGenaiError(error.detail, name=folder.name) from error
        graph = folder.open_graph(config)
        header = examine_onnx(graph.descriptor, graph.name)
        folder.open_beside(header, _KEPT)
        tokens = examine_tokens(folder.tokenizer.descriptor, TOKENIZER)
        own_words = examine_words(folder.words.descriptor, TOKENIZER_CONFIG)
        folder.demand_template()
        if reason := genai.obstacle(config, header, tokens):
            raise ModelGenaiError(reason, name=folder.name)
        size = sum(file.size for file in folder.parts)
        return GenaiPlan(
            model=self._importer.free_id(folder.name),
            name=(wish.name or folder.name)[:200],
            config=config,
            header=header,
            tokens=tokens,
            has_own_words=own_words,
            has_template=own_words or folder.template is not None,
            size=size,
            size_class=size_class_of(header.parameters, has_grammar=False),
            languages=wish.languages or (UNKNOWN_LANGUAGE,),
            estimate=estimate(
                size, config.context, self._settings.inference, header=config, parallel=extras.places(genai.ENGINE)
            ),
        )


class IncomingGenai(IncomingFolder[GenaiFolder, GenaiPlan]):
    """A chat model's; see IncomingFolder."""

    small = _KEPT

    def __init__(self, catalog: Catalog, models: Path, source: GenaiFolder, wish: FolderWish, plan: GenaiPlan) -> None:
        super().__init__(catalog, models, source, plan, link=wish.link)
        self._wish = wish

    def _parts(self) -> Iterator[tuple[str, Source]]:
        for file in self._source.parts:
            yield file.name, file

    def _looked(self) -> Iterator[tuple[str, Callable[[int, str], object], object]]:
        yield CONFIG, examine_genai, self.plan.config
        yield self.plan.config.file, examine_onnx, self.plan.header
        yield TOKENIZER, examine_tokens, self.plan.tokens
        yield TOKENIZER_CONFIG, examine_words, self.plan.has_own_words

    def _manifest(self) -> Manifest:
        plan, wish = self.plan, self._wish
        return Manifest(
            id=plan.model,
            name=plan.name,
            kind="chat",
            engine=genai.ENGINE,
            files=self._files,
            entry=CONFIG,
            licence=wish.licence,
            source=wish.source or self._source.name,
            languages=plan.languages,
            context=plan.config.context,
            architecture=plan.config.architecture,
            quantization=plan.header.quantization,
            parameters=plan.header.parameters,
            dimensions=None,
            size_class=plan.size_class,
        )


def is_genai(path: str, held: SourceFolder | None = None) -> bool:
    """Whether it is a folder that says so; `held` is read instead of the path where it is open already."""
    if held is not None:
        with contextlib.suppress(OSError):
            os.lstat(CONFIG, dir_fd=held.descriptor)
            return True
        return False
    return is_folder(path) and os.path.lexists(os.path.join(path, CONFIG))  # noqa: PTH118 - a text
