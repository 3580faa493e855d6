"""The manifest `model.json` beside a model's files: what it is, where it came from, what its files must be."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from appliance import durable
from appliance.errors import ModelDamagedError
from appliance.inference.engine import Pooling

FILE_NAME = "model.json"
ADAPTER = ".lora.gguf"
"""How the names of adapters end."""
PROJECTOR = "mmproj"
"""How the names of projectors begin."""
_LONGEST = 1 << 20

ModelId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9 _.+-]{0,199}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
ModelKind = Literal["chat", "embedding", "reranker"]
SizeClass = Literal["tiny", "small", "medium", "large"]


class ModelFile(BaseModel):
    """One file of a model, as it must be on disk."""

    model_config = ConfigDict(frozen=True)

    sha256: Sha256
    size: int = Field(gt=0)


class Manifest(BaseModel):
    """Everything the box knows of a model without opening its weights.

    Unknown fields are ignored, so that a model packed by a later release still loads.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: Literal[1] = 1
    id: ModelId
    name: str = Field(min_length=1, max_length=200)
    kind: ModelKind
    engine: Literal["llama", "onnx", "ctransformers", "genai", "scripted"]
    files: dict[FileName, ModelFile] = Field(min_length=1)
    entry: FileName
    """The main file, one of `files`: what the engine is pointed at."""
    licence: str = Field(min_length=1)
    """SPDX name."""
    source: str = Field(min_length=1)
    """Where it came from, for people: a package name and version, or a publisher."""
    languages: tuple[str, ...] = Field(min_length=1)
    """BCP 47 language subtags it is good at."""
    context: int = Field(ge=1)
    """Tokens it was trained to hold."""
    quantization: str = ""
    parameters: int = Field(0, ge=0)
    dimensions: int | None = Field(None, ge=1)
    """Length of a vector; embedding models only."""
    size_class: SizeClass = "small"
    """`tiny` models get numbered sentences and a grammar, see the answering app."""
    query_prefix: str = "query: "
    """Put before a question by embedding models of the E5 family; empty for others."""
    passage_prefix: str = "passage: "
    pooling: Pooling = "mean"
    """How an embedding model's vectors of tokens become one, where the model leaves that to the engine."""
    projector: FileName | None = None
    """One of `files` beside the main one, with which the model sees pictures."""
    thinking: bool = False
    """Whether its own template lets it think before it answers."""
    tools: bool | None = None
    """Whether its own template has a place for tools and its engine hands them over; None where nobody has looked."""
    architecture: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{0,64}$")] = ""
    """As its files call it, e.g. `qwen2`; empty where nobody has looked."""

    @model_validator(mode="after")
    def _check(self) -> "Manifest":
        if self.entry not in self.files:
            raise ValueError("entry is not one of files")
        if self.kind == "embedding" and self.dimensions is None:
            raise ValueError("an embedding model needs dimensions")
        if self.projector is not None:
            self._demand_projector(self.projector)
        return self

    def _demand_projector(self, name: str) -> None:
        if name not in self.files or name == self.entry or not name.startswith(PROJECTOR):
            raise ValueError("projector is none of the files beside entry")
        if self.kind != "chat" or self.engine not in ("llama", "scripted"):
            raise ValueError("nothing that a projector helps")

    @property
    def ways(self) -> tuple[str, ...]:
        """In which way its files are used: the same files used otherwise are another model."""
        return self.kind, self.engine, self.pooling, self.query_prefix, self.passage_prefix

    @property
    def adapters(self) -> tuple[str, ...]:
        """Files beside the model's own that change its answers when loaded with it, sorted."""
        return tuple(sorted(name for name in self.files if name.endswith(ADAPTER) and name != self.entry))

    @property
    def vision(self) -> bool:
        """Whether it sees pictures."""
        return self.projector is not None

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files.values())


def read(folder: Path) -> Manifest:
    """The manifest in `folder`.

    Raises:
        ModelDamagedError: unreadable, or not a manifest this release understands.
    """
    path = folder / FILE_NAME
    try:
        if path.stat().st_size > _LONGEST:
            raise ModelDamagedError(f"{path}: too long for a manifest", name=folder.name)
        manifest = Manifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ModelDamagedError(f"{path}: {error}", name=folder.name) from error
    if manifest.id != folder.name:
        raise ModelDamagedError(f"{path}: says {manifest.id}", name=folder.name)
    return manifest


def write(folder: Path, changed: Manifest) -> None:
    """Put it in the place of the one that the model in `folder` has. Raises DiskFullError: the old one holds."""
    durable.replace(folder / FILE_NAME, changed.model_dump_json(indent=1).encode() + b"\n")
