"""Makes a folder that a box takes out of a Hugging Face folder: graph, vocabulary, manifest, recorded vectors.

The folder appears under its name complete and tried out, or not at all. What the box will make of it is found out by
the box's own import, into a store that is thrown away.
"""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Literal

import onnx

from appliance import durable
from appliance.bundle import encoder_onnx
from appliance.bundle.encoder_onnx import Floats, Graph
from appliance.bundle.export import likeness, network
from appliance.bundle.export.folder import HuggingFaceFolder
from appliance.bundle.export.network import Kind, Network
from appliance.closing import Closing
from appliance.config import Settings
from appliance.errors import (
    BadInputError,
    ConflictError,
    ExportDamagedError,
    ExportFolderError,
    ExportUnlikeError,
    ExportUnsupportedError,
    ModelFailedError,
    ModelFileError,
    ModelPathError,
    ModelVocabularyError,
)
from appliance.inference import golden
from appliance.inference import manifest as manifests
from appliance.inference.examine import examine_tokenizer
from appliance.inference.hf_config import Pooling
from appliance.inference.importing import Importer
from appliance.inference.manifest import Manifest
from appliance.inference.model_folder import CONFIG, TOKENIZER
from appliance.inference.onnx_importing import ENTRY, VOCABULARIES, FolderImporter, FolderWish
from appliance.inference.source import opened
from appliance.inference.unigram import Vocabulary

Quantise = Literal["int8", "none"]

WEIGHTS_BESIDE: Final = "model.onnx_data"
_INSIDE_BYTES: Final = 1 << 30
"""Larger graphs keep their weights in a file beside: no protobuf may be longer than 2 GiB."""
_FRESH: Final = ".export-"
_DIGITS: Final = 5


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What should be exported, and what only a person can say of it."""

    folder: Path
    out: Path
    licence: str
    source: str = ""
    """The folder's name if left out."""
    quantise: Quantise = "int8"
    kind: Kind | None = None
    """By the tensors if left out."""
    pooling: Pooling | None = None
    """By the folder's modules if left out, or the mean."""
    languages: tuple[str, ...] = ()
    query_prefix: str | None = None
    """As the box's import fills them in if left out."""
    passage_prefix: str | None = None


@dataclass(frozen=True)
class Exported:
    """What was written."""

    model: str
    """The id that a box gives it; empty if this release can't import it."""
    cosine: float | None
    """To the graph in floats, see `likeness.cosine`; None where that is what was written."""
    parameters: int
    size: int
    """Bytes of all files."""


class Export(Closing):
    """A folder that was looked at and can be exported: `write` does it."""

    def __init__(self, wish: Wish, *, inside_bytes: int = _INSIDE_BYTES) -> None:
        """Look at everything but the numbers; nothing is written.

        Raises:
            ConflictError: there is something at `out`.
            ExportFolderError: a file is missing, or none that can be read.
            ExportDamagedError: one is damaged, or they contradict each other.
            ExportUnsupportedError: another kind of network, head, pooling, or more behind it.
        """
        if wish.out.is_symlink() or wish.out.exists():
            raise ConflictError(name=wish.out.name)
        self._wish, self._inside_bytes = wish, inside_bytes
        self._folder = HuggingFaceFolder(wish.folder)
        self._settings = network.settings(self._folder.config, CONFIG)
        self._checkpoint = self._folder.checkpoint()
        try:
            self._network = Network(self._checkpoint, self._settings, wish.kind, self._folder.name)
            self.kind = self._network.kind
            self.pooling: Pooling | None = None
            if self.kind == "embedding":
                self.pooling = wish.pooling or self._folder.pooling()
            self._vocabulary = self._readable()
        except BaseException:
            self._checkpoint.close()
            raise

    @property
    def can_be_imported(self) -> bool:
        """Whether this release's box reads the vocabulary."""
        return self._vocabulary is not None

    def close(self) -> None:
        self._checkpoint.close()

    def write(self) -> Exported:
        """Make the folder.

        Raises:
            ExportUnlikeError: in integers it computes something else than in floats.
            ExportDamagedError: a tensor is missing, of another shape, or holds what is no number.
            ModelFailedError: the runtime refuses the graph: what was read makes no model.
            DiskFullError: no room; nothing was written.
            ConflictError: meanwhile there is something at `out`.
            BadInputError: it can't be written there.
        """
        out = self._wish.out.parent.resolve() / self._wish.out.name
        try:
            with durable.told_when_full():
                out.parent.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryDirectory(prefix=_FRESH, dir=out.parent) as around:
                    fresh = Path(around, out.name)
                    fresh.mkdir()
                    exported = self._fill(fresh, Path(around))
                    for path in (*fresh.iterdir(), fresh):
                        durable.sync(path)
                    self._put(fresh, out)
                durable.sync(out.parent)
        except OSError as error:
            raise BadInputError(f"{type(error).__name__}: {error.strerror}", field="OUT") from error
        return exported

    def _fill(self, fresh: Path, around: Path) -> Exported:
        (fresh / CONFIG).write_bytes(self._folder.config)
        (fresh / TOKENIZER).write_bytes(self._folder.tokenizer)
        for name, content in self._folder.terms().items():
            (fresh / name).write_bytes(content)
        if self._vocabulary is not None:
            (fresh / VOCABULARIES[self._vocabulary.kind]).write_bytes(self._vocabulary.model)
        integers = self._wish.quantise == "int8"
        self._graph(fresh, integers=integers)
        original, cosine = self._compared(fresh, around, integers=integers)
        model = ""
        if self._vocabulary is not None:
            model = self._imported(fresh, around).id
            if self.kind == "embedding":
                self._record(fresh / golden.REFERENCE, model, original)
        size = sum(path.stat().st_size for path in fresh.iterdir())
        return Exported(model, cosine, self._network.parameters, size)

    def _graph(self, folder: Path, *, integers: bool) -> None:
        size = self._network.parameters * (1 if integers else 4)
        if size <= self._inside_bytes:
            self._build(folder / ENTRY, integers=integers, beside=None)
        else:
            with (folder / WEIGHTS_BESIDE).open("xb") as beside:
                self._build(folder / ENTRY, integers=integers, beside=(WEIGHTS_BESIDE, beside))
        try:
            onnx.checker.check_model(str(folder / ENTRY))
        except onnx.checker.ValidationError as error:
            raise ModelFailedError(f"checker: {error}", name=self._folder.name) from error

    def _build(self, target: Path, *, integers: bool, beside: tuple[str, BinaryIO] | None) -> None:
        encoder = self._network
        graph = Graph(integers=integers, beside=beside)
        x = encoder_onnx.encode(graph, encoder)
        inputs = ["input_ids", "attention_mask", *(["token_type_ids"] if encoder.takes_types else [])]
        if self.pooling is None:
            output, width = "logits", encoder.labels
            graph.op("Identity", [encoder_onnx.scored(graph, encoder, x, width)], output=output)
        else:
            # Pooled in the graph, so that no one who runs it has to be told how.
            output, width = "sentence_embedding", encoder.sizes.hidden
            graph.op("Identity", [encoder_onnx.pooled(graph, x, self.pooling)], output=output)
        graph.write(target, "encoder", inputs, output, ["batch", width])

    def _compared(self, fresh: Path, around: Path, *, integers: bool) -> tuple[Floats, float | None]:
        """What the original answers to the samples, and how close what was written comes to it."""
        vocabulary = fresh if self._vocabulary is not None else None
        said = self._settings
        limit = said.max_position_embeddings - said.skipped
        samples = likeness.samples(self.kind, vocabulary, limit, said.vocab_size)
        exported = likeness.answers(fresh / ENTRY, self.kind, samples)
        if not integers:
            return exported, None
        floats = around / "floats"
        floats.mkdir()
        self._graph(floats, integers=False)
        original = likeness.answers(floats / ENTRY, self.kind, samples)
        cosine = likeness.cosine(self.kind, original, exported)
        if not cosine >= likeness.LEAST_COSINE:  # also when it is no number
            raise ExportUnlikeError(f"cosine {cosine:.4f}", name=self._folder.name, cosine=f"{cosine:.4f}")
        return original, cosine

    def _imported(self, fresh: Path, around: Path) -> Manifest:
        """As a box will have it; its manifest is put beside the files, so that bundles can carry the folder."""
        settings = Settings(data_dir=around / "box")
        importer = FolderImporter(settings, Importer(settings, lambda _name: False))
        wish = FolderWish(
            path=str(fresh),
            licence=self._wish.licence,
            source=self._wish.source or self._folder.name,
            languages=self._wish.languages,
            link=True,
            kind=self.kind,
            pooling=self.pooling,
            query_prefix=self._wish.query_prefix,
            passage_prefix=self._wish.passage_prefix,
        )
        with importer.begin(wish) as incoming:
            for _done in incoming.copy():
                pass
            manifest = incoming.finish().manifest
        stored = settings.models / manifest.id / manifests.FILE_NAME
        (fresh / manifests.FILE_NAME).write_bytes(stored.read_bytes())
        return manifest

    def _record(self, path: Path, model: str, vectors: Floats) -> None:
        """What the model must answer about so on every engine; see `golden`."""
        texts = [
            {"text": text, "vector": [round(float(value), _DIGITS) for value in vector]}
            for text, vector in zip(likeness.TEXTS, vectors, strict=True)
        ]
        said = {"model": model, "recorded_from": "the original in floats", "texts": texts}
        path.write_text(json.dumps(said, ensure_ascii=False) + "\n", "utf-8")

    def _readable(self) -> Vocabulary | None:
        try:
            with opened(str(self._folder.tokenizer_path), TOKENIZER) as source:
                vocabulary = examine_tokenizer(source.descriptor, TOKENIZER)
        except ModelVocabularyError:
            return None
        except ModelPathError as error:
            raise ExportFolderError(error.detail, name=self._folder.name, file=TOKENIZER) from error
        except ModelFileError as error:
            raise ExportDamagedError(error.detail, name=TOKENIZER) from error
        if vocabulary.size > self._settings.vocab_size:
            raise ExportUnsupportedError("more pieces than vectors", name=self._folder.name)
        return vocabulary

    @staticmethod
    def _put(fresh: Path, out: Path) -> None:
        if out.is_symlink() or out.exists():
            raise ConflictError(name=out.name)
        fresh.rename(out)
