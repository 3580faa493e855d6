"""An ONNX model's folder as an export tool leaves it: its files opened one by one, none of them through a link."""

import contextlib
import os
from typing import Final

from appliance.closing import Closing
from appliance.errors import ModelFileError, ModelFolderError, ModelPathError
from appliance.inference import hf_config, onnx_header, unigram
from appliance.inference.onnx_header import OnnxHeader
from appliance.inference.source import Source, opened_at, shown_name

TOKENIZER: Final = "tokenizer.json"
CONFIG: Final = "config.json"
_GRAPH: Final = "model.onnx"
_SUFFIX: Final = ".onnx"
_POOLING: Final = "1_Pooling"
_ENTRIES_MAX: Final = 10_000
_KEPT: Final = frozenset({_GRAPH, TOKENIZER, CONFIG, "sentencepiece.model", "model.json", "golden.json"})
"""Names that have a meaning in the store."""
_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class ModelFolder(Closing):
    """Closed, it lets go of all its files.

    Raises:
        ModelPathError: no folder, or something in it is no ordinary file.
        ModelFolderError: a file is missing.
        ModelFileError: one is too long.
    """

    def __init__(self, path: str) -> None:
        self.name = shown_name(os.path.basename(path))  # noqa: PTH119 - a text, maybe with a NUL in it
        self.beside: dict[str, Source] = {}
        """Files of weights, by name."""
        self._descriptors: list[int] = []
        self.descriptor = self._folder(path)
        try:
            self.graph = self._open(self._graph_name(), onnx_header.FILE_BYTES)
            self.tokenizer = self._open(TOKENIZER, unigram.FILE_BYTES)
            self.config = self._open(CONFIG, hf_config.FILE_BYTES)
            self.pooling = self._pooling()
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int:
        """Bytes of the files that a model is made of."""
        return sum(file.size for file in (self.graph, self.tokenizer, self.config, *self.beside.values()))

    def open_beside(self, header: OnnxHeader) -> None:
        """Open the files that hold the graph's weights.

        Raises:
            ModelPathError, ModelFolderError: as above.
            ModelFileError: one is too short, or has a name of something else's.
        """
        for external in header.external:
            if external.name in _KEPT or external.name.endswith(_SUFFIX):
                raise ModelFileError("weights in a file of another kind", name=external.name)
            if external.name not in self.beside:
                self.beside[external.name] = self._open(external.name, 1 << 50)
            if self.beside[external.name].size < external.size:
                raise ModelFileError("is cut off: a tensor lies outside", name=external.name)

    def close(self) -> None:
        while self._descriptors:
            with contextlib.suppress(OSError):
                os.close(self._descriptors.pop())

    def _folder(self, path: str) -> int:
        refused = ModelPathError("not a folder", name=self.name)
        if "\0" in path or not path.startswith("/") or ".." in path.split("/"):
            raise refused
        try:
            descriptor = os.open(path, _FLAGS | os.O_DIRECTORY)
        except (OSError, ValueError):
            raise refused from None
        self._descriptors.append(descriptor)
        return descriptor

    def _graph_name(self) -> str:
        """The usual one, or the only one."""
        with os.scandir(self.descriptor) as entries:
            names = [entry.name for entry, _count in zip(entries, range(_ENTRIES_MAX), strict=False)]
        graphs = [name for name in names if name.endswith(_SUFFIX)]
        if _GRAPH in graphs:
            return _GRAPH
        if len(graphs) != 1:
            raise ModelFolderError(f"{len(graphs)} graphs", name=self.name, file=_GRAPH)
        return graphs[0]

    def _open(self, name: str, longest: int) -> Source:
        source = self._opened(self.descriptor, name)
        if source is None:
            raise ModelFolderError(name=self.name, file=name)
        if source.size > longest:
            raise ModelFileError("is too long", name=source.name)
        return source

    def _pooling(self) -> Source | None:
        """What sentence-transformers writes beside a model."""
        try:
            inner = os.open(_POOLING, _FLAGS | os.O_DIRECTORY, dir_fd=self.descriptor)
        except OSError:
            return None
        self._descriptors.append(inner)
        return self._opened(inner, CONFIG)

    def _opened(self, folder: int, name: str) -> Source | None:
        """None if there is nothing of that name."""
        try:
            os.lstat(name, dir_fd=folder)
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            raise ModelPathError("not an ordinary file", name=shown_name(name)) from None
        source = opened_at(name, name, folder)
        self._descriptors.append(source.descriptor)
        return source
