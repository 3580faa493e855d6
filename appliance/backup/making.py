"""Makes a snapshot of a box that goes on working: what the repository has already is not written again."""

import base64
import io
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

import apsw

from appliance import __version__, clock, logs
from appliance.backup.manifest import (
    CHUNK,
    MODEL_CHUNK,
    BlobPart,
    Counts,
    DatabasePart,
    ModelFilePart,
    ModelPart,
    Snapshot,
)
from appliance.backup.repository import Repository
from appliance.config import Settings
from appliance.errors import BackupRoomError, BusyError, HakoError
from appliance.inference import manifest as model_manifests
from appliance.inference.catalog import Catalog
from appliance.jobs.worker import Report
from appliance.storage import migrations
from appliance.storage.database import Database
from appliance.storage.frozen import Frozen
from appliance.vault.envelope import seal_stream

log = logs.get(__name__)

_PIECE: Final = 1 << 20
_TRIES: Final = 5
_RETRY_S: Final = 5
_LOOK_BACK: Final = 3
"""Snapshots that are looked into for what needn't be read again; what only older ones have is read, and then known."""
_SMALL_FILES: Final = (
    "hako.toml", "model-aliases.json", "model-settings.json", "model-defaults.json", "model-figures.json",
    "destinations.json",
)  # fmt: skip


class _MovedError(Exception):
    """A file went while it was being copied, with its record: the moment has to be taken again."""


@dataclass(frozen=True)
class Wish:
    """What is to be made. `keep`: so many of the newest stay, 0 for all."""

    models: bool = False
    keep: int = 0


@dataclass
class _Known:
    """What earlier snapshots have, so that it needn't be read again."""

    blobs: dict[tuple[str, str], BlobPart] = field(default_factory=dict)
    models: dict[tuple[str, int], tuple[str, ...]] = field(default_factory=dict)
    number: int = 0


def make(repository: Repository, settings: Settings, database: Database, wish: Wish, report: Report) -> Snapshot:
    """Make a snapshot, read back what was written, and remove what is beyond `wish.keep`.

    Raises:
        BackupFolderError, BackupRoomError: the medium isn't there, fails or is full; earlier snapshots are whole.
        BackupDamagedError: the medium doesn't give back what it was given.
        BusyError: another backup is being made there, or documents are erased faster than they can be copied.
        CancelledError: told by `report`.
    """
    with repository.held():
        try:
            snapshot = _Making(repository, settings, database, report).make(wish)
        except BackupRoomError:
            repository.sweep()  # what came can't be completed and would only take room
            raise
        repository.prune(wish.keep)
        return snapshot


class _Making:
    def __init__(self, repository: Repository, settings: Settings, database: Database, report: Report) -> None:
        self._repository, self._settings, self._database, self._report = repository, settings, database, report
        self._known = _known(repository)
        self._done = self._total = 0
        self._new: dict[str, int] = {}

    def make(self, wish: Wish) -> Snapshot:
        self._repository.keep_vault(self._settings.vault_file.read_bytes())
        self._report("copying", 0, 0)
        for _try in range(_TRIES):
            try:
                snapshot = self._taken(wish)
            except _MovedError:
                continue
            self._read_back()
            self._repository.add(snapshot)
            return snapshot
        raise BusyError("files move while they are copied", retry_after_s=_RETRY_S)

    def _taken(self, wish: Wish) -> Snapshot:
        """One moment of the box, with all its objects put."""
        self._done = 0
        models = _models(self._settings)
        confirmed = _lines(self._settings.audit_checkpoints)  # before the moment: the database then has no fewer
        with self._database.frozen() as still:
            rows = _blob_rows(still.connection)
            self._total = still.size + sum(size for _id, size, _key in rows)
            if wish.models:
                self._total += sum(manifest.size for _folder, manifest, _text in models)
            chunks = tuple(self._chunks(still))
            blobs = [part for row in rows if (part := self._blob(*row))]
            stray = _stray(confirmed, still.connection)
            counts, version = count(still.connection), migrations.version(still.connection)
            reads_from = migrations.reads_from(still.connection)
        number, at = self._known.number + 1, clock.now()
        return Snapshot(
            id=f"{number:06}-{datetime.fromtimestamp(at, UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}",
            number=number,
            at=at,
            vault=self._repository.box,
            name=self._settings.name,
            release=__version__,
            database=DatabasePart(
                size=still.size,
                cipher=self._settings.cipher,
                schema_version=version,
                reads_from=reads_from,
                chunks=chunks,
            ),
            blobs=tuple(blobs),
            missing=len(rows) - len(blobs),
            files={name: base64.b64encode(content).decode("ascii") for name, content in _files(self._settings, stray)},
            models=tuple(self._model(*model, copied=wish.models) for model in models),
            counts=counts,
            new_bytes=sum(self._new.values()),
        )

    def _chunks(self, still: Frozen) -> Iterator[str]:
        for offset in range(0, still.size, CHUNK):
            content = still.read(offset, CHUNK)
            name = self._repository.digest(content)
            if not self._repository.has(name, len(content)):
                self._put(iter([content]))
            self._step(len(content))
            yield name

    def _blob(self, blob_id: str, _size: int, wrapped: bytes) -> BlobPart | None:
        """The stored file as it lies there; None if it is missing on the box itself."""
        key = self._repository.digest(wrapped)
        known = self._known.blobs.get((blob_id, key))
        if known and self._repository.has(known.object, known.size):
            self._step(_size)
            return known
        path = self._settings.blobs_dir / blob_id[:2] / blob_id
        name, size = "", 0
        with suppress(FileNotFoundError), path.open("rb") as source:
            name, size = self._put(iter(partial(source.read, _PIECE), b""))
        with self._database.read() as connection:
            now = connection.execute("select wrapped_key from blobs where id = ?", (blob_id,)).get
        if now != wrapped:  # erased meanwhile, and perhaps brought anew under another key
            raise _MovedError
        self._step(_size)
        if not name:
            log.warning("blob_missing_in_backup", blob=blob_id[:16])
            return None
        part = BlobPart(id=blob_id, key=key, object=name, size=size)
        self._known.blobs[blob_id, key] = part
        return part

    def _model(self, folder: Path, manifest: model_manifests.Manifest, text: str, *, copied: bool) -> ModelPart:
        files: dict[str, ModelFilePart] = {}
        for name, file in manifest.files.items():
            objects = self._model_objects(folder / name, file) if copied else ()
            files[name] = ModelFilePart(sha256=file.sha256, size=file.size, objects=objects)
        return ModelPart(id=manifest.id, manifest=text, files=files)

    def _model_objects(self, path: Path, file: model_manifests.ModelFile) -> tuple[str, ...]:
        known = self._known.models.get((file.sha256, file.size))
        if known and all(self._repository.holds(name) for name in known):
            self._step(file.size)
            return known
        objects: list[str] = []
        try:
            source = path.open("rb")
        except FileNotFoundError as error:  # the model was removed meanwhile
            raise _MovedError from error
        with source:
            while content := source.read(MODEL_CHUNK):
                target = io.BytesIO()
                seal_stream(self._repository.files_key, io.BytesIO(content), target)
                objects.append(self._put(iter([target.getvalue()]))[0])
                self._step(len(content))
        self._known.models[file.sha256, file.size] = tuple(objects)
        return tuple(objects)

    def _put(self, pieces: Iterator[bytes]) -> tuple[str, int]:
        name, size, is_new = self._repository.put(pieces)
        if is_new:
            self._new[name] = size
        return name, size

    def _step(self, size: int) -> None:
        self._done = min(self._done + size, self._total)
        self._report("copying", self._done, self._total)

    def _read_back(self) -> None:
        """What a medium took it doesn't always give back."""
        self._repository.settle()
        total, done = sum(self._new.values()), 0
        for name, size in self._new.items():
            done += self._repository.check(name, size)
            self._report("checking", done, total)


def _known(repository: Repository) -> _Known:
    known = _Known(number=max((int(name.split("-")[0]) for name in repository.ids()), default=0))
    for snapshot in islice(repository.readable(), _LOOK_BACK):
        for blob in snapshot.blobs:
            known.blobs.setdefault((blob.id, blob.key), blob)
        for model in snapshot.models:
            for file in model.files.values():
                if file.objects:
                    known.models.setdefault((file.sha256, file.size), file.objects)
    return known


def _blob_rows(connection: apsw.Connection) -> list[tuple[str, int, bytes]]:
    rows = connection.execute("select id, size, wrapped_key from blobs order by id")
    return [(str(row[0]), int(row[1]), bytes(row[2])) for row in rows]


def count(connection: apsw.Connection) -> Counts:
    """What is in a database."""
    tables = ("users", "bases", "documents", "chats", "audit")
    return Counts.model_validate({table: connection.execute(f"select count(*) from {table}").get for table in tables})


def _models(settings: Settings) -> list[tuple[Path, model_manifests.Manifest, str]]:
    """The models that can be read; a damaged one is no reason to have no backup."""
    found: list[tuple[Path, model_manifests.Manifest, str]] = []
    for model in sorted(Catalog(settings.models).all()):
        folder = settings.models / model
        try:
            manifest = model_manifests.read(folder)
            text = (folder / model_manifests.FILE_NAME).read_text("utf-8")
        except (HakoError, OSError, UnicodeDecodeError):
            log.warning("model_not_in_backup", model=model)
            continue
        found.append((folder, manifest, text))
    return found


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines()
    except FileNotFoundError:
        return []


def _stray(lines: list[bytes], connection: apsw.Connection) -> bytes:
    """What the file of audit checkpoints knows and the database doesn't: of a box that was put back once."""
    known = {str(row[0]).encode() for row in connection.execute("select line from audit_checkpoints")}
    return b"".join(line + b"\n" for line in lines if line not in known)


def _files(settings: Settings, stray: bytes) -> Iterator[tuple[str, bytes]]:
    """The small files of the data folder, each as it is now. Passphrases and logs are not among them."""
    if stray:
        yield str(settings.audit_checkpoints.relative_to(settings.data_dir)), stray
    places = [folder / name for folder in dict.fromkeys((settings.data_dir, settings.shared)) for name in _SMALL_FILES]
    if settings.trust.is_dir():
        places += sorted(settings.trust.glob("*/trust-[ab].json"))
    for path in places:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue
        # Some lie deeper where processes have accounts of their own; what is put back has all of them in one folder.
        yield path.name if path.parent == settings.shared else str(path.relative_to(settings.data_dir)), content
