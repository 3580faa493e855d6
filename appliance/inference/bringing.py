"""Files on their way into a model's folder: copied or shared, and digested; among them a projector beside its model."""

import hashlib
import os
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from appliance import durable, modes
from appliance.errors import BadInputError, ModelFileError, ProjectorError, ProjectorWidthError
from appliance.inference.examine import examine
from appliance.inference.gguf_header import Header
from appliance.inference.manifest import PROJECTOR, ModelFile
from appliance.inference.source import Source, opened


def brought(
    source: Source, target: Path, shared: str = "", folder: int | None = None
) -> Generator[int, None, ModelFile]:
    """Copy the file, or share the bytes of `shared`, which is its path (in that open folder); yields how many are done.

    Raises:
        BadInputError: it can't be shared.
        ModelFileError: it changed meanwhile, or can't be read to its end.
        OSError: of the store's disk.
    """
    if shared:
        _share(source, target, shared, folder)
        return (yield from _digested(source, None))
    with target.open("xb") as file:
        target.chmod(modes.file())
        stored = yield from _digested(source, file)
        file.flush()
        os.fsync(file.fileno())
    return stored


def whole(steps: Generator[int, None, ModelFile]) -> ModelFile:
    """The same to its end, where nobody asks how far it is."""
    try:
        while True:
            next(steps)
    except StopIteration as ended:
        stored: ModelFile = ended.value
        return stored


def placed(source: Source, target: Path, header: Header, shared: str = "") -> ModelFile:
    """Bring the file that was looked at under its name, complete or not at all; see `brought`.

    Raises:
        DiskFullError: no room.
    """
    part = target.with_name(target.name + ".new")
    part.unlink(missing_ok=True)  # of a run that was cut off
    try:
        with durable.told_when_full():
            stored = whole(brought(source, part, shared))
        _demand_unchanged(part, source.name, header)
        part.rename(target)
    finally:
        part.unlink(missing_ok=True)
    return stored


def _demand_unchanged(copy: Path, name: str, header: Header) -> None:
    """What has come must be what was looked at."""
    with copy.open("rb") as file:
        if examine(file.fileno(), name) != header:
            raise ModelFileError("changed while it was read", name=name)


def _share(source: Source, target: Path, path: str, folder: int | None) -> None:
    try:
        os.link(path, target, src_dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        raise BadInputError(f"hard link: {error.strerror}", field="link") from error
    shared = target.stat()
    if (shared.st_dev, shared.st_ino) != source.identity:
        raise ModelFileError("another file by now", name=source.name)


def _digested(source: Source, copy: BinaryIO | None) -> Generator[int, None, ModelFile]:
    digest, done = hashlib.sha256(), 0
    while chunk := source.read(done):
        digest.update(chunk)
        if copy is not None:
            copy.write(chunk)
        done += len(chunk)
        yield done
    if done != source.size:
        raise ModelFileError("changed while it was read", name=source.name)
    return ModelFile(sha256=digest.hexdigest(), size=done)


@dataclass(frozen=True)
class Beside:
    """A projector that was looked at and fits its model; it is opened again to be brought."""

    path: str
    name: str
    """Of the file, as people may see it."""
    size: int
    header: Header

    def brought(self, target: Path, *, shared: bool) -> Generator[int, None, ModelFile]:
        """See `brought`."""
        with opened(self.path) as source:
            stored = yield from brought(source, target, self.path if shared else "")
        _demand_unchanged(target, self.name, self.header)
        return stored


def projector(path: str, model: Header, model_name: str) -> Beside:
    """Look at the projector at `path`, which is to be brought with the model of that header.

    Raises:
        ModelPathError: not an ordinary file that can be read.
        ModelFileError: not a whole GGUF file, or it says what no projector can.
        ProjectorError: something else than a projector.
        ProjectorWidthError: one for another model.
    """
    with opened(path) as source:
        header = examine(source.descriptor, source.name)
        if header.projector is None:
            raise ProjectorError(f"{header.kind} of {header.architecture}", name=source.name)
        if header.projector.width != model.width:
            raise ProjectorWidthError(f"{header.projector.width} for {model.width}", name=source.name, model=model_name)
        return Beside(path, source.name, source.size, header)


def projector_file(model: str) -> str:
    """What the projector of a model is called in its folder: never as the model's own file is."""
    return f"{PROJECTOR}-{model}.gguf"
