"""A folder with an embedding model or a reranker in ONNX, as an export tool leaves it."""

import os
from typing import Final

from appliance.errors import ModelFileError, ModelFolderError
from appliance.inference import golden, hf_config, onnx_header, unigram, wordpiece
from appliance.inference.onnx_header import OnnxHeader
from appliance.inference.opened_folder import FLAGS, GRAPH, OpenedFolder
from appliance.inference.source import Source

TOKENIZER: Final = "tokenizer.json"
PIECES: Final = "vocab.txt"
"""What older BERT models have instead, beside the settings of their tokenizer."""
TOKENIZER_CONFIG: Final = "tokenizer_config.json"
CONFIG: Final = "config.json"
_GRAPH: Final = "model.onnx"
_POOLING: Final = "1_Pooling"
_ENTRIES_MAX: Final = 10_000
_KEPT: Final = frozenset({_GRAPH, TOKENIZER, PIECES, TOKENIZER_CONFIG, CONFIG, "sentencepiece.model", "wordpiece.json"})
"""Names that have a meaning in the store."""


class ModelFolder(OpenedFolder):
    """Its graph, vocabulary and settings; see OpenedFolder for what is raised."""

    graph: Source
    vocabulary: dict[str, Source]
    """The file or files that it is in, by name."""
    config: Source
    pooling: Source | None
    reference: Source | None

    def _open_all(self) -> None:
        self.graph = self._open(self._graph_name(), onnx_header.FILE_BYTES)
        self.vocabulary = self._vocabulary()
        self.config = self._open(CONFIG, hf_config.FILE_BYTES)
        self.pooling = self._pooling()
        self.reference = self._reference()

    @property
    def size(self) -> int:
        """Bytes of the files that a model is made of."""
        files = (self.graph, *self.vocabulary.values(), self.config, *self.beside.values())
        return sum(file.size for file in files)

    def open_weights(self, header: OnnxHeader) -> None:
        """Open the files that hold the graph's weights; see OpenedFolder.open_beside."""
        self.open_beside(header, _KEPT)

    def _vocabulary(self) -> dict[str, Source]:
        """`tokenizer.json` says all; where only the older files are there, both of them are needed."""
        if self._opened(self.descriptor, TOKENIZER) is None and self._opened(self.descriptor, PIECES) is not None:
            return {
                PIECES: self._open(PIECES, unigram.FILE_BYTES),
                TOKENIZER_CONFIG: self._open(TOKENIZER_CONFIG, wordpiece.CONFIG_BYTES),
            }
        return {TOKENIZER: self._open(TOKENIZER, unigram.FILE_BYTES)}

    def _graph_name(self) -> str:
        """The usual one, or the only one."""
        with os.scandir(self.descriptor) as entries:
            names = [entry.name for entry, _count in zip(entries, range(_ENTRIES_MAX), strict=False)]
        graphs = [name for name in names if name.endswith(GRAPH)]
        if _GRAPH in graphs:
            return _GRAPH
        if len(graphs) != 1:
            raise ModelFolderError(f"{len(graphs)} graphs", name=self.name, file=_GRAPH)
        return graphs[0]

    def _pooling(self) -> Source | None:
        """What sentence-transformers writes beside a model."""
        try:
            inner = os.open(_POOLING, FLAGS | os.O_DIRECTORY, dir_fd=self.descriptor)
        except OSError:
            return None
        self._descriptors.append(inner)
        return self._opened(inner, CONFIG)

    def _reference(self) -> Source | None:
        """What the original answers, recorded by its exporter; see `golden`."""
        there = self._opened(self.descriptor, golden.REFERENCE)
        if there is not None and there.size > golden.LONGEST:
            raise ModelFileError("is too long", name=there.name)
        return there
