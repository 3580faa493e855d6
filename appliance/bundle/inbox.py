"""Where bundles wait until all of them was checked; then models and documents are put in place, also after a power cut.

Before the note `placing.json` is on the disk nothing of a bundle can be seen. After it everything will be.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from appliance import clock, durable, logs
from appliance.bundle.boxes.identity import Identity
from appliance.bundle.boxes.receiving import Sealed, unsealed
from appliance.bundle.index import Index
from appliance.bundle.packs import PackedModel, Store
from appliance.bundle.shelf import Open, Pack, Shelf, Visibility, plain_files
from appliance.bundle.web_packs import SnapshotShelf
from appliance.errors import (
    BundleRollbackError,
    BusyError,
    ConflictError,
    EnvelopeError,
    HakoError,
    PackForAnotherError,
    StoreDamagedError,
)
from appliance.inference.importing import locked
from appliance.storage.audit import Audit
from appliance.storage.database import Database

log = logs.get(__name__)

_NOTE: Final = "placing.json"
_FILES: Final = "files"
_RETRY_S: Final = 3


class _Note(BaseModel):
    """What is being placed: all that is needed to go on without the medium."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: str
    kind: str
    name: str
    version: str
    licence: str
    size: int
    fingerprint: str
    models: tuple[PackedModel, ...]
    pack: Pack | None = None
    sealed: Sealed | None = None
    visibility: Visibility = "private"


class Inbox:
    """`folder` is below the models: placing is renaming. One process at a time works in it."""

    def __init__(
        self,
        folder: Path,
        store: Store,
        shelf: Shelf,
        snapshots: SnapshotShelf,
        identity: Identity,
        database: Database,
        audit: Audit,
    ) -> None:
        self.folder = folder
        self._store, self._shelf, self._snapshots, self._identity = store, shelf, snapshots, identity
        self._database, self._audit = database, audit

    @contextmanager
    def held(self) -> Iterator[None]:
        """Work in it alone. Raises BusyError while somebody else does."""
        durable.folder(self.folder)
        lock = locked(self.folder)
        if lock is None:
            raise BusyError(retry_after_s=_RETRY_S)
        try:
            yield
        finally:
            os.close(lock)

    def note(
        self,
        digest: str,
        index: Index,
        fingerprint: str,
        models: tuple[PackedModel, ...],
        pack: Pack | None = None,
        visibility: Visibility = "private",
        sealed: Sealed | None = None,
    ) -> None:
        """From here on the bundle will be placed, whatever happens. All of its files are checked and on the disk."""
        note = _Note(
            digest=digest,
            kind=index.kind,
            name=index.name,
            version=index.version,
            licence=index.licence,
            size=index.size,
            fingerprint=fingerprint,
            models=models,
            pack=pack,
            sealed=sealed,
            visibility=visibility,
        )
        durable.folder(self.folder / digest)
        durable.sync(self.folder)
        durable.replace(self.folder / digest / _NOTE, note.model_dump_json().encode())

    def place(self, digest: str, actor: str) -> bool:
        """Place the bundle, or go on with that; False if it is not so far.

        Each step is recorded before it can be seen, so after a power cut it may be recorded twice.

        Raises:
            ConflictError: somebody took the name of a model meanwhile; the others are placed.
            BundleRollbackError: a newer version of these documents has come meanwhile.
        """
        folder = self.folder / digest
        try:
            note = _Note.model_validate_json((folder / _NOTE).read_bytes())
        except FileNotFoundError:
            return False
        except (OSError, ValidationError) as error:
            raise StoreDamagedError(f"bundle {digest[:16]}: {type(error).__name__}") from error
        refused: HakoError | None = None
        if note.pack is not None:
            try:
                self._shelf.put(note.pack, self._opener(note, folder / _FILES), note.visibility, actor)
            except (BundleRollbackError, ConflictError) as error:
                refused = error
            except (EnvelopeError, PackForAnotherError) as error:
                raise StoreDamagedError(f"pack {digest[:16]}: {type(error).__name__}") from error
        for model in note.models:
            try:
                self._place(model, folder / _FILES, note, actor)
            except ConflictError as error:
                log.warning("model_not_placed", model=model.id)
                refused = error
        self._show(note, actor)
        if refused is None:
            self._record(note, actor)
        self.drop(digest)
        if refused is not None:
            raise refused
        return True

    def has_taken(self, digest: str, since: float) -> bool:
        """Whether this bundle was taken at that time (seconds since the epoch) or later."""
        with self._database.read() as connection:
            row = connection.execute("select 1 from bundles where digest = ? and taken_at >= ?", (digest, since)).get
        return row is not None

    def holds(self, digest: str) -> bool:
        """Whether something of this bundle has come and waits for the rest."""
        return (self.folder / digest).is_dir()

    def drop(self, digest: str) -> None:
        """Forget what has come of a bundle, for good: a note that a power cut brings back would be followed."""
        self._snapshots.forget(digest)
        folder = self.folder / digest
        if folder.is_dir():
            (folder / _NOTE).unlink(missing_ok=True)
            durable.sync(folder)
            shutil.rmtree(folder, ignore_errors=True)
            durable.sync(self.folder)

    def tidy(self, actor: str, keep: str = "") -> None:
        """Bring to its end whatever else lies here: placed if it was so far, else removed."""
        for folder in self.folder.iterdir():
            if folder.name != keep:
                try:
                    placed = self.place(folder.name, actor)
                except (BundleRollbackError, ConflictError, StoreDamagedError) as error:
                    log.warning("bundle_not_placed", code=error.code, detail=error.detail)
                    placed = False
                if not placed:
                    self.drop(folder.name)

    def _opener(self, note: _Note, files: Path) -> Open:
        return plain_files(files) if note.sealed is None else unsealed(note.sealed, files, self._identity)

    def _place(self, model: PackedModel, files: Path, note: _Note, actor: str) -> None:
        if self._store.state(model) == "new":
            entry = model.manifest.entry if model.manifest else ""
            digest = model.manifest.files[entry].sha256 if model.manifest else model.files[0].sha256
            self._audit.record(
                actor, "model-imported", model.id, sha256=digest, licence=note.licence, bundle=note.digest
            )
        self._store.place(model, files, note.licence, f"{note.name} {note.version}")

    def _show(self, note: _Note, actor: str) -> None:
        """Its web snapshots were brought in before the note was written."""
        for snapshot_id, name, digest in self._snapshots.hidden(note.digest):
            self._audit.record(
                actor,
                "web-snapshot-added",
                snapshot_id,
                name=name,
                sha256=digest,
                licence=note.licence,
                bundle=note.digest,
            )
        self._snapshots.show(note.digest, actor)

    def _record(self, note: _Note, actor: str) -> None:
        self._audit.record(
            actor, "bundle-taken", note.digest, kind=note.kind, bundle=f"{note.name} {note.version}", size=note.size
        )
        with self._database.write() as connection:
            connection.execute(
                "insert or replace into bundles (digest, kind, name, version, licence, size, fingerprint, taken_by,"
                " taken_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    note.digest,
                    note.kind,
                    note.name,
                    note.version,
                    note.licence,
                    note.size,
                    note.fingerprint,
                    actor,
                    clock.now(),
                ),
            )
