"""A Hugging Face folder as its publisher offers it: settings, vocabulary, pooling and the files with the weights."""

import contextlib
import re
from pathlib import Path
from typing import Final

from appliance.bundle.export import safetensors
from appliance.bundle.export.safetensors import Checkpoint, Safetensors
from appliance.errors import ExportDamagedError, ExportFolderError, ExportUnsupportedError, ModelPathError
from appliance.inference import hf_config, unigram
from appliance.inference.hf_config import Pooling
from appliance.inference.model_folder import CONFIG, TOKENIZER
from appliance.inference.source import Source, opened, shown_name

WEIGHTS: Final = "model.safetensors"
_INDEX: Final = "model.safetensors.index.json"
_MODULES: Final = "modules.json"
_POOLING: Final = "1_Pooling"
_PLACE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")
_KNOWN_MODULES: Final = frozenset({"Transformer", "Pooling", "Normalize"})
"""Of sentence-transformers: the encoder, and what the graph or the engine does. Others would be lost."""
_TERMS: Final = re.compile(r"(LICEN[CS]E|NOTICE)[A-Za-z0-9._-]{0,60}")
_TERMS_BYTES: Final = 1 << 20
_ENTRIES_MAX: Final = 10_000


class HuggingFaceFolder:
    """Reads small files whole; links are refused, as everywhere where models come from."""

    def __init__(self, path: Path) -> None:
        """Raises ExportFolderError, ExportDamagedError."""
        self._path = path.parent.resolve() / path.name  # a link as the last part is refused below
        self.name = shown_name(self._path.name)
        if self._path.is_symlink() or not self._path.is_dir():
            raise ExportFolderError("not a folder", name=self.name, file=CONFIG)
        self.config = self._content(CONFIG, hf_config.FILE_BYTES)
        self.tokenizer = self._content(TOKENIZER, unigram.FILE_BYTES)

    @property
    def tokenizer_path(self) -> Path:
        return self._path / TOKENIZER

    def checkpoint(self) -> Checkpoint:
        """Its weights; to be closed.

        Raises:
            ExportFolderError: a file is missing.
            ExportDamagedError: one is damaged, or they contradict each other.
        """
        if (self._path / WEIGHTS).exists() or not (self._path / _INDEX).exists():
            return Checkpoint([self._weights(WEIGHTS)], WEIGHTS)
        told = safetensors.places(self._content(_INDEX, safetensors.INDEX_BYTES), _INDEX)
        with contextlib.ExitStack() as opened_so_far:
            names = sorted(set(told.values()))
            files = {name: opened_so_far.enter_context(self._weights(name)) for name in names}
            checkpoint = Checkpoint(list(files.values()), _INDEX)
            if told != {tensor: name for name, file in files.items() for tensor in file.shapes}:
                raise ExportDamagedError("says something else than the files", name=_INDEX)
            opened_so_far.pop_all()
        return checkpoint

    def pooling(self) -> Pooling:
        """How the tokens' vectors become one; the mean where nothing says it.

        Raises:
            ExportUnsupportedError: in another way, or more follows it, e.g. a dense layer.
            ExportDamagedError: what says it is damaged.
        """
        place = self._pooling_place()
        path = self._path / place / CONFIG
        if not path.exists():
            return "mean"
        try:
            found = hf_config.pooling(self._content(f"{place}/{CONFIG}", hf_config.FILE_BYTES))
        except hf_config.ConfigError as error:
            raise ExportDamagedError(str(error), name=f"{place}/{CONFIG}") from error
        if found is None:
            raise ExportUnsupportedError("another pooling", name=self.name)
        return found

    def terms(self) -> dict[str, bytes]:
        """Licences and notices, which go where the model goes."""
        names = sorted(entry.name for entry, _count in zip(self._path.iterdir(), range(_ENTRIES_MAX), strict=False))
        return {name: self._content(name, _TERMS_BYTES) for name in names if _TERMS.fullmatch(name)}

    def _pooling_place(self) -> str:
        if not (self._path / _MODULES).exists():
            return _POOLING
        listed = safetensors.parsed(self._content(_MODULES, hf_config.FILE_BYTES), _MODULES)
        if not isinstance(listed, list) or not all(isinstance(module, dict) for module in listed):
            raise ExportDamagedError("lists no modules", name=_MODULES)
        kinds = {str(module.get("type")).rpartition(".")[2]: str(module.get("path")) for module in listed}
        if more := kinds.keys() - _KNOWN_MODULES:
            raise ExportUnsupportedError(f"module {min(more)[:40]!r}", name=self.name)
        place = kinds.get("Pooling", _POOLING)
        if not _PLACE.fullmatch(place):
            raise ExportDamagedError("a module that isn't in the folder", name=_MODULES)
        return place

    def _weights(self, name: str) -> Safetensors:
        with self._opened(name) as source:
            return Safetensors(source)

    def _content(self, name: str, longest: int) -> bytes:
        with self._opened(name) as source:
            if source.size > longest:
                raise ExportDamagedError("is too long", name=name)
            content = bytearray()
            while len(content) < source.size and (chunk := source.read(len(content))):
                content += chunk
            return bytes(content)

    def _opened(self, name: str) -> Source:
        try:
            return opened(str(self._path / name), name)
        except ModelPathError as error:
            raise ExportFolderError(error.detail, name=self.name, file=name) from error
