"""A model's folder as a tool outside left it: its files opened one by one, none of them through a link."""

import contextlib
import os
from collections.abc import Iterable
from typing import Final

from appliance.closing import Closing
from appliance.errors import ModelFileError, ModelFolderError, ModelPathError
from appliance.inference.onnx_header import OnnxHeader
from appliance.inference.source import Source, SourceFolder, opened_at, shown_name

GRAPH: Final = ".onnx"
"""How the names of graphs end."""
FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_IN_STORE: Final = ("model.json", "golden.json", "reference.json")
_LONGEST: Final = 1 << 50


class OpenedFolder(Closing):
    """Closed, it lets go of all its files. `held` is the folder where it is open already: then `path` isn't read.

    Raises:
        ModelPathError: no folder, or something in it is no ordinary file.
        ModelFolderError: a file is missing.
        ModelFileError: one is too long.
    """

    def __init__(self, path: str, held: SourceFolder | None = None) -> None:
        self.name = held.name if held else shown_name(os.path.basename(path))  # noqa: PTH119 - maybe with a NUL in it
        self.beside: dict[str, Source] = {}
        """Files of weights, by name."""
        self._descriptors: list[int] = [held.descriptor] if held else []
        self.descriptor = held.descriptor if held else self._folder(path)
        try:
            self._open_all()
        except BaseException:
            self.close()
            raise

    def _open_all(self) -> None:
        """What a folder of this kind has to have."""

    def open_beside(self, header: OnnxHeader, kept: Iterable[str]) -> None:
        """Open the files that hold the graph's weights; `kept` are names that have another meaning.

        Raises:
            ModelPathError, ModelFolderError: as above.
            ModelFileError: one is too short, or has a name of something else's.
        """
        for external in header.external:
            if external.name in (*kept, *_IN_STORE) or external.name.endswith(GRAPH):
                raise ModelFileError("weights in a file of another kind", name=external.name)
            if external.name not in self.beside:
                self.beside[external.name] = self._open(external.name, _LONGEST)
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
            descriptor = os.open(path, FLAGS | os.O_DIRECTORY)
        except (OSError, ValueError):
            raise refused from None
        self._descriptors.append(descriptor)
        return descriptor

    def _open(self, name: str, longest: int) -> Source:
        source = self._opened(self.descriptor, name)
        if source is None:
            raise ModelFolderError(name=self.name, file=name)
        if source.size > longest:
            raise ModelFileError("is too long", name=source.name)
        return source

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
