"""Hardware profiles: which packages, which flavour of the runtime, how large the slots, which settings of the box."""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from appliance.config import REPOSITORY, Inference
from appliance.errors import ProfileError

FIRMWARE: Final = REPOSITORY / "firmware-scripts"
CONTAINER: Final = "container"
_PACKAGE: Final = re.compile(r"[a-z0-9][a-z0-9+.-]+")

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,30}$")]


class Contents(BaseModel):
    """What a root file system is made of; `name` is that of the profile's file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    packages: tuple[Name, ...]
    """Lists in `packages/`."""
    flavour: Literal["run", "gpu", "genai", "genai-gpu", "legacy"]
    """The lock in `requirements/` that the Python environment is made of."""

    @property
    def lists(self) -> tuple[str, ...]:
        """All of them."""
        return self.packages


class Container(Contents):
    """The box without a machine."""


class Profile(Contents):
    """One kind of machine."""

    slot_mib: int = Field(ge=256, le=32768)
    """Of each of the two systems; nothing larger can ever be put on a machine that was made with it."""
    esp_mib: int = Field(ge=128, le=2048)
    sshd: bool = False
    kernel: tuple[str, ...] = ()
    """Words for the kernel, beside those that every image has."""
    open_units: tuple[Literal["hako-inference"], ...] = ()
    """Units that get the machine's GPU devices."""
    inference: dict[str, int | str] = {}
    """As `[inference]` in hako.toml."""

    @field_validator("inference")
    @classmethod
    def _known(cls, value: dict[str, int | str]) -> dict[str, int | str]:
        Inference.model_validate(value)
        return value

    @property
    def lists(self) -> tuple[str, ...]:
        """With the one that a way in over the network takes."""
        return (*self.packages, "sshd") if self.sshd else self.packages


Kind = TypeVar("Kind", bound=Contents)


def read(name: str, firmware: Path = FIRMWARE) -> Profile:
    """The machine's profile of this name.

    Raises:
        ProfileError: there is none, or it says something impossible.
    """
    return _read(name, firmware, Profile)


def container(firmware: Path = FIRMWARE) -> Container:
    """The container's profile; there is one. Raises ProfileError as `read`."""
    return _read(CONTAINER, firmware, Container)


def _read(name: str, firmware: Path, kind: type[Kind]) -> Kind:
    path = firmware / "profiles" / f"{name}.toml"
    try:
        said = tomllib.loads(path.read_text("utf-8"))
        return kind.model_validate({**said, "name": name})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ProfileError(first["msg"], name=name, field=".".join(map(str, first["loc"]))) from error
    except (OSError, ValueError) as error:
        raise ProfileError(str(error), name=name, field=path.name) from error


def names(firmware: Path = FIRMWARE) -> list[str]:
    """Of all machines' profiles."""
    return sorted({path.stem for path in (firmware / "profiles").glob("*.toml")} - {CONTAINER})


def packages(profile: Contents, firmware: Path = FIRMWARE) -> list[str]:
    """What Debian is asked for, sorted, each once.

    Raises:
        ProfileError: a list isn't there, or holds what is no package's name.
    """
    found: set[str] = set()
    for each in profile.lists:
        try:
            lines = (firmware / "packages" / f"{each}.txt").read_text("utf-8").splitlines()
        except OSError as error:
            raise ProfileError(str(error), name=profile.name, field=each) from error
        wanted = {line.strip() for line in lines if line.strip() and not line.startswith("#")}
        if odd := [line for line in wanted if not _PACKAGE.fullmatch(line)]:
            raise ProfileError(f"no package: {odd[0]}", name=profile.name, field=each)
        found |= wanted
    return sorted(found)
