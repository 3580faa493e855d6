"""What a box has and is, as a file that it writes: a publisher makes a bundle for just this box from it."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from appliance.bundle.index import Digest, Index
from appliance.errors import BundleInvalidError

LONGEST: Final = 8 << 20
"""Bytes of a request."""

Text = Annotated[str, StringConstraints(max_length=200)]


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class HeldModel(_Shape):
    """A model that is on the box: its files' SHA-256 and sizes in bytes by name."""

    id: Text
    files: dict[Text, tuple[Digest, int]]


class HeldBundle(_Shape):
    """A bundle that was taken."""

    kind: Text
    name: Text
    version: Text
    digest: Digest


class Request(_Shape):
    """The box as a publisher has to know it: no people, no content. Sizes in bytes."""

    format: Literal[1] = 1
    box: Text
    version: Text
    publisher: Text = ""
    """Fingerprint of the root that it trusts; empty while it trusts none."""
    memory_bytes: int = Field(ge=0)
    free_bytes: int = Field(ge=0)
    cpu_flags: tuple[Text, ...] = ()
    gpu: bool = False
    receiving_code: Text = ""
    """Under which other boxes may seal packs for it."""
    models: tuple[HeldModel, ...] = ()
    bundles: tuple[HeldBundle, ...] = ()

    def held(self, index: Index) -> frozenset[str]:
        """Digests of the parts of this bundle that the box has, because it has the whole file."""
        files = {digest for model in self.models for digest, _size in model.files.values()}
        return frozenset(part.sha256 for file in index.files if file.sha256 in files for part in file.parts)


def read(data: bytes) -> Request:
    """A request from its file. Raises BundleInvalidError."""
    if len(data) > LONGEST:
        raise BundleInvalidError("request too long")
    try:
        return Request.model_validate_json(data)
    except ValidationError as error:
        raise BundleInvalidError("request") from error
