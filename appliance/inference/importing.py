"""Brings a GGUF file of this machine into the store: examined, copied or linked, digested.

A model's folder appears under its name complete, or not at all.
"""

import contextlib
import dataclasses
import fcntl
import os
import re
import shutil
import unicodedata
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from appliance import durable, logs, modes
from appliance.closing import Closing
from appliance.config import Settings
from appliance.errors import (
    BadInputError,
    ConflictError,
    DiskFullError,
    EngineMissingError,
    HakoError,
    ModelFileError,
    ModelLegacyError,
    ModelSplitError,
    ModelUnsupportedError,
)
from appliance.inference import bringing, gguf_roles, legacy, prefixes
from appliance.inference import manifest as manifests
from appliance.inference.bringing import Beside
from appliance.inference.catalog import INCOMING, UNFINISHED, Catalog
from appliance.inference.engine import Pooling
from appliance.inference.estimate import Estimate, estimate
from appliance.inference.examine import examine
from appliance.inference.gguf_header import Header
from appliance.inference.gguf_roles import Vectors
from appliance.inference.manifest import Manifest, ModelFile, SizeClass
from appliance.inference.source import Source, one_line, opened

log = logs.get(__name__)

UNKNOWN_LANGUAGE: Final = "und"

_ROOM_BYTES = 256 << 20
"""What stays free on the disk: the database and the log need to go on."""
_ID_CHARS = 80
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_PART: Final = re.compile(r"-[0-9]{5}-of-([0-9]{5})\.gguf$", re.IGNORECASE)
"""How publishers name the parts of a split model."""
_SIZES: Final[tuple[tuple[int, SizeClass], ...]] = ((10**9, "tiny"), (4 * 10**9, "small"), (15 * 10**9, "medium"))


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What should be imported, and what only a person can say of it."""

    path: str
    """Absolute. What is open already is read instead; then it is only what `link` shares."""
    licence: str
    source: str = ""
    """The file's name if left out."""
    languages: tuple[str, ...] = ()
    """What the file says, or unknown, if left out."""
    name: str = ""
    link: bool = False
    """Share the file's bytes instead of copying them; same file system only."""
    engine: Literal["llama", "ctransformers"] = "llama"
    """The second one is for older models only, see `legacy`."""
    projector: str = ""
    """Absolute; the file with which the model sees pictures, if there is one."""
    pooling: Pooling | None = None
    """Of embedding models only, as what follows. By the file if left out, or the mean."""
    query_prefix: str | None = None
    """By the model's name if left out, see `prefixes`."""
    passage_prefix: str | None = None


@dataclass(frozen=True)
class Plan:
    """What an import would make of the file; nothing is written for it."""

    model: str
    name: str
    header: Header
    size: int
    """Bytes of all its files."""
    size_class: SizeClass
    languages: tuple[str, ...]
    estimate: Estimate
    projector: Beside | None = None
    vectors: Vectors | None = None
    """How it makes them; None for a chat model."""


@dataclass(frozen=True)
class Imported:
    """The model, or the one that was there already with the very same bytes."""

    manifest: Manifest
    is_new: bool


class Importer:
    """`is_taken` says whether a name belongs to an alias."""

    def __init__(self, settings: Settings, is_taken: Callable[[str], bool]) -> None:
        self._settings = settings
        self._catalog = Catalog(settings.models)
        self._is_taken = is_taken

    def plan(self, wish: Wish, source: Source | None = None) -> Plan:
        """Look at the file and say what it is; `source` is closed then.

        Raises:
            ModelPathError: not an ordinary file that can be read.
            ModelFileError: not a whole GGUF file.
            ModelUnsupportedError: neither a chat model nor an embedding model.
            ModelSplitError: one part of several.
            ModelLegacyError: none for the engine that was asked for.
            EngineMissingError: that engine is not installed.
            ProjectorError, ProjectorWidthError: the projector is none, or another model's.
            BadInputError: something is said that has no meaning for it; `field` says what.
        """
        with source or opened(wish.path) as file:
            return self._plan(file, wish)

    def begin(self, wish: Wish, source: Source | None = None) -> "Incoming":
        """Make the folder that the model will be in; nothing is copied yet. `source` is closed with the import.

        Raises:
            DiskFullError: no room; nothing was written.
            ConflictError: the same file is being imported.
            HakoError: as `plan`.
        """
        source = source or opened(wish.path)
        try:
            plan = self._plan(source, wish)
            models = self._settings.models
            models.mkdir(mode=modes.folder(), parents=True, exist_ok=True)
            if not wish.link:
                demand_room(models, plan.size)
            return Incoming(self._catalog, models, source, wish, plan)
        except BaseException:
            source.close()
            raise

    def sweep(self) -> None:
        """Remove what interrupted imports and removals left behind; what still goes on is left alone."""
        for suffix in UNFINISHED:
            for folder in self._settings.models.glob(f"*{suffix}"):
                lock = locked(folder)
                if lock is not None:
                    log.info("leftover_removed", folder=folder.name)
                    shutil.rmtree(folder, ignore_errors=True)
                    os.close(lock)

    def _plan(self, source: Source, wish: Wish) -> Plan:
        header = _examined(source)
        _demand_whole(header, source.name)
        name = wish.name or one_line(header.name) or source.name
        vectors = _vectors(header, wish, source.name, name)
        older = wish.engine == legacy.ENGINE
        if older and wish.projector:
            raise BadInputError("an engine that can't see", field="projector")
        if older:
            _demand_legacy(header, source.name)
        beside = bringing.projector(wish.projector, header, source.name) if wish.projector else None
        size = source.size + (beside.size if beside else 0)
        languages = wish.languages or tuple(code for code in header.languages if _LANGUAGE.fullmatch(code))
        return Plan(
            model=self.free_id(Path(source.name).stem),
            name=name[:200],
            header=header,
            size=size,
            size_class=size_class_of(header.parameters, has_grammar=not older),
            languages=languages or (UNKNOWN_LANGUAGE,),
            estimate=estimate(
                size,
                header.context,
                self._settings.inference,
                header=header,
                parallel=legacy.PLACES if older else None,
            ),
            projector=beside,
            vectors=vectors,
        )

    def free_id(self, stem: str) -> str:
        """The file's name as an id that is safe as a folder's name and nobody else's."""
        base = plain_name(stem) or "model"
        names = [base, *(f"{base}-{number}" for number in range(2, 1000))]
        for name in names:
            if not name.endswith(UNFINISHED) and not self._is_known(name):
                return name
        raise ConflictError(name=base)

    def _is_known(self, name: str) -> bool:
        folder = self._settings.models / name
        return self._is_taken(name) or folder.exists() or folder.with_name(name + INCOMING).exists()


class Incoming(Closing):
    """One import under way: `copy` to the end, then `finish`; closing it earlier leaves nothing behind."""

    def __init__(self, catalog: Catalog, models: Path, source: Source, wish: Wish, plan: Plan) -> None:
        self.plan = plan
        self._catalog = catalog
        self._models = models
        self._source = source
        self._wish = wish
        self._entry = f"{plan.model}.gguf"
        self._files: dict[str, ModelFile] = {}
        self._folder = models / (plan.model + INCOMING)
        try:
            self._folder.mkdir(mode=modes.folder())
        except FileExistsError:
            raise ConflictError(name=plan.model) from None
        self._lock = locked(self._folder)

    def copy(self) -> Iterator[int]:
        """Bring the bytes in and digest them; yields how many are done.

        Raises:
            DiskFullError: no room any more.
            BadInputError: `link`, where the file can't be shared.
            ModelFileError: the file changed meanwhile.
        """
        target, shared = self._folder / self._entry, self._wish.path if self._wish.link else ""
        with told():
            stored = self._files[self._entry] = yield from bringing.brought(self._source, target, shared)
            if beside := self.plan.projector:
                name = bringing.projector_file(self.plan.model)
                parts = beside.brought(self._folder / name, shared=self._wish.link)
                self._files[name] = yield from _after(stored.size, parts)

    def finish(self) -> Imported:
        """Check what has come, write the manifest, and put the model where it is seen.

        Raises:
            ModelFileError: what came is not what was looked at.
        """
        manifest = self._manifest()
        for known in self._catalog.all().values():
            there = {file.sha256 for file in known.files.values()}
            if there.issuperset(file.sha256 for file in self._files.values()) and known.ways == manifest.ways:
                return Imported(known, is_new=False)
        with (self._folder / self._entry).open("rb") as stored:
            header = examine(stored.fileno(), self._source.name)
        if header != self.plan.header:
            raise ModelFileError("changed while it was read", name=self._source.name)
        with told():
            path = self._folder / manifests.FILE_NAME
            path.write_text(manifest.model_dump_json(indent=1) + "\n", "utf-8")
            path.chmod(modes.file())
            for written in (path, self._folder):
                durable.sync(written)
            self._folder.rename(self._models / manifest.id)
            durable.sync(self._models)
        return Imported(manifest, is_new=True)

    def close(self) -> None:
        """Let go of the file, and remove what is not finished."""
        self._source.close()
        if self._lock is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            os.close(self._lock)
            self._lock = None

    def _manifest(self) -> Manifest:
        plan, wish = self.plan, self._wish
        writes = wish.engine == "llama" and not plan.vectors
        return Manifest(
            id=plan.model,
            name=plan.name,
            kind="embedding" if plan.vectors else "chat",
            engine=wish.engine,
            files=self._files,
            entry=self._entry,
            licence=wish.licence,
            source=wish.source or self._source.name,
            languages=plan.languages,
            context=plan.header.context,
            quantization=plan.header.quantization,
            parameters=plan.header.parameters,
            **(dataclasses.asdict(plan.vectors) if plan.vectors else {}),
            size_class=plan.size_class,
            projector=next((name for name in self._files if name != self._entry), None),
            architecture=plan.header.architecture,
            tools=plan.header.tools and writes,
            thinking=plan.header.thinks and writes,  # the others tell thoughts as words of the answer
        )


def _after(before: int, parts: Generator[int, None, ModelFile]) -> Generator[int, None, ModelFile]:
    """How many bytes are done, with those `before`."""
    try:
        while True:
            yield before + next(parts)
    except StopIteration as ended:
        stored: ModelFile = ended.value
        return stored


def demand_room(models: Path, size: int) -> None:
    """Raises DiskFullError unless `size` bytes and a reserve fit."""
    if shutil.disk_usage(models).free < size + _ROOM_BYTES:
        raise DiskFullError(f"{size} bytes and {_ROOM_BYTES} of reserve")


def _examined(source: Source) -> Header:
    """Only the first part of a split model says what it is; the others are known by their names."""
    try:
        return examine(source.descriptor, source.name)
    except ModelFileError as error:
        if (named := _PART.search(source.name)) and int(named[1]) > 1:
            raise ModelSplitError(error.detail, name=source.name, parts=int(named[1])) from error
        raise


def _demand_whole(header: Header, name: str) -> None:
    if header.kind != "model":
        raise ModelUnsupportedError(header.kind, name=name)
    if header.splits > 1:
        raise ModelSplitError(name=name, parts=header.splits)


def _vectors(header: Header, wish: Wish, file: str, name: str) -> Vectors | None:
    """As the file and the operator say; nothing may be said that has no meaning for the model."""
    try:
        usual = prefixes.of(file, name)
        found = gguf_roles.vectors(header, wish.pooling, usual.unless(wish.query_prefix, wish.passage_prefix))
    except gguf_roles.RoleError as error:
        raise ModelUnsupportedError(str(error), name=file) from error
    if found is None:
        for field in ("pooling", "query_prefix", "passage_prefix"):
            if getattr(wish, field) is not None:
                raise BadInputError("not for a chat model", field=field)
    elif wish.engine != "llama" or wish.projector:
        raise BadInputError("not for an embedding model", field="projector" if wish.projector else "engine")
    return found


def _demand_legacy(header: Header, name: str) -> None:
    if obstacle := legacy.obstacle(header):
        raise ModelLegacyError(f"{obstacle.reason} {obstacle.found}", name=name, **obstacle._asdict())
    if not legacy.version():
        raise EngineMissingError(legacy.ENGINE, name=name)


def size_class_of(parameters: int, *, has_grammar: bool) -> SizeClass:
    """Answers of tiny models are held together by a grammar; where there is none they go the way of small ones."""
    named: SizeClass = next((name for below, name in _SIZES if parameters < below), "large")
    return "small" if named == "tiny" and not has_grammar else named


def plain_name(stem: str) -> str:
    """A file's name in what is safe in every path; empty if nothing of it is."""
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9._-]+", "-", plain).strip("-._")[:_ID_CHARS]


def locked(folder: Path) -> int | None:
    """The folder held for this process, or None if somebody else holds it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


@contextlib.contextmanager
def told() -> Iterator[None]:
    """A full disk, and whatever else the store's disk says, as errors that a user can be told."""
    try:
        with durable.told_when_full():
            yield
    except OSError as error:
        raise HakoError(f"model store: {error}") from error
