"""What one snapshot says of itself: which objects make up the database, the files and the models of that moment.

The manifest is sealed as a whole under the box's key, so nothing in it can be read or changed by who has the stick.
What comes from outside is checked all the same: names can't lead out of the folder that is restored to.
"""

import io
import re
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from appliance.errors import BackupDamagedError, EnvelopeError, NewerStoreError
from appliance.inference.manifest import FileName, ModelId
from appliance.vault.envelope import open_stream, seal_stream

CHUNK: Final = 1 << 20
"""Bytes of the database in one object: 64 pages."""
MODEL_CHUNK: Final = 16 << 20
"""Bytes of a model's file in one object."""
MODEL_OBJECT: Final = MODEL_CHUNK + (1 << 16)
"""The same, sealed."""
LONGEST: Final = 256 << 20
FORMAT: Final = 1

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
SnapshotId = Annotated[str, StringConstraints(pattern=r"^\d{6,9}-\d{8}T\d{6}Z-[0-9a-f]{8}$")]
Place = Annotated[
    str,
    StringConstraints(
        pattern=r"^(hako\.toml|(model-aliases|model-settings|model-defaults|model-figures|destinations)\.json"
        r"|audit/checkpoints|trust/[0-9a-f]{32}/trust-[ab]\.json)$"
    ),
]
"""A file of the data folder that goes into the manifest itself."""

ID: Final = re.compile(r"\d{6,9}-\d{8}T\d{6}Z-[0-9a-f]{8}")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DatabasePart(_Record):
    """The database file: its chunks in order, as the vault's key has sealed them."""

    size: int = Field(ge=1)
    cipher: Literal["aegis", "sqlcipher"]
    schema_version: int = Field(ge=1)
    reads_from: int = Field(0, ge=0)
    """A release that knows so many steps can work with it as well; 0: none but those that know all of them."""
    chunks: tuple[Digest, ...] = Field(min_length=1)


class BlobPart(_Record):
    """A stored file as it lies on the disk, sealed. `key`: digest of its wrapped key, new whenever it is written."""

    id: Digest
    key: Digest
    object: Digest
    size: int = Field(ge=1)


class ModelFilePart(_Record):
    """A file of a model; `objects` in order, none where models were left out."""

    sha256: Digest
    size: int = Field(ge=0)
    objects: tuple[Digest, ...] = ()


class ModelPart(_Record):
    """A model; `manifest` is the text of its `model.json`."""

    id: ModelId
    manifest: str
    files: dict[FileName, ModelFilePart]

    @property
    def is_whole(self) -> bool:
        """Whether its files are in the backup."""
        return all(file.objects or not file.size for file in self.files.values())


class Counts(_Record):
    """What a rehearsal counts again."""

    users: int = Field(ge=0)
    bases: int = Field(ge=0)
    documents: int = Field(ge=0)
    chats: int = Field(ge=0)
    audit: int = Field(ge=0)


class Snapshot(_Record):
    """One moment of a box. `at` in seconds since the epoch."""

    format: Literal[1] = FORMAT
    id: SnapshotId
    number: int = Field(ge=1)
    at: float
    vault: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    name: str
    """What the box was called."""
    release: str
    database: DatabasePart
    blobs: tuple[BlobPart, ...]
    missing: int = Field(ge=0)
    """Stored files that were missing on the box already."""
    files: dict[Place, str]
    models: tuple[ModelPart, ...]
    counts: Counts
    new_bytes: int = Field(ge=0)
    """What came into the backup with this snapshot."""

    def objects(self) -> dict[str, int]:
        """Everything that it needs, with the most bytes that each may have."""
        needed = dict.fromkeys(self.database.chunks, CHUNK)
        needed |= {blob.object: blob.size for blob in self.blobs}
        for model in self.models:
            for file in model.files.values():
                needed |= dict.fromkeys(file.objects, MODEL_OBJECT)
        return needed

    @property
    def size(self) -> int:
        """Bytes of the box at that moment, models that were left out not counted."""
        models = sum(file.size for model in self.models for file in model.files.values() if file.objects)
        return self.database.size + sum(blob.size for blob in self.blobs) + models


def sealed(key: bytes, snapshot: Snapshot) -> bytes:
    """The manifest as it lies on the medium."""
    return sealed_text(key, snapshot.model_dump_json().encode())


def sealed_text(key: bytes, text: bytes) -> bytes:
    """Any manifest, sealed."""
    target = io.BytesIO()
    seal_stream(key, io.BytesIO(text), target)
    return target.getvalue()


def opened(key: bytes, content: bytes, name: str) -> Snapshot:
    """The manifest of the file `name`.

    Raises:
        BackupDamagedError: another key, altered, cut off, or under another's name.
        NewerStoreError: of a later release.
    """
    try:
        plain = b"".join(open_stream(key, io.BytesIO(content)))
    except EnvelopeError as error:
        raise BackupDamagedError(f"snapshot {name}: {error.detail}", count=1) from error
    try:
        snapshot = Snapshot.model_validate_json(plain)
    except ValidationError as error:
        if _format(plain) > FORMAT:
            raise NewerStoreError("snapshot") from None
        places = sorted({".".join(map(str, found["loc"][:2])) for found in error.errors(include_input=False)})
        raise BackupDamagedError(f"snapshot {name}: {', '.join(places)[:200]}", count=1) from None
    if snapshot.id != name or int(name.split("-", maxsplit=1)[0]) != snapshot.number:
        raise BackupDamagedError(f"snapshot {name} is {snapshot.id}", count=1)
    return snapshot


class _Any(BaseModel):
    format: int = 0


def _format(plain: bytes) -> int:
    try:
        return _Any.model_validate_json(plain).format
    except ValidationError:
        return 0
