"""The manifest of a web snapshot, `snapshot.json`: what was captured, when, from where, by whom, on what terms."""

import hashlib
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from appliance import durable
from appliance.warc import urls

FILE_NAME: Final = "snapshot.json"
LONGEST: Final = 1 << 20
"""Bytes of a manifest."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,59}$")]
WarcName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.warc(?:\.gz)?$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Line = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
Url = Annotated[str, StringConstraints(max_length=urls.LONGEST)]
Why = Literal["robots", "noarchive", "private", "outside", "status", "kind", "size", "unreachable"]
"""Robots' rules, a page that asks not to be kept, an address inside, a redirect to another host, …"""
RobotsSaid = Literal["rules", "none", "unreachable"]
Stopped = Literal["", "pages", "size", "time"]


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Title(_Shape):
    """For people, in both languages."""

    ja: Line
    en: Line


class Left(_Shape):
    """A page that was left out, and why."""

    url: Url
    why: Why


class WarcFile(_Shape):
    """One file of the snapshot; `size` in bytes."""

    sha256: Digest
    size: int = Field(ge=1)


class Manifest(_Shape):
    """Times in seconds since the epoch."""

    format: Literal[1]
    name: Name
    title: Title
    starts: tuple[Url, ...] = Field(min_length=1, max_length=100)
    began: int = Field(ge=0)
    ended: int = Field(ge=0)
    by: Line
    """Who had it captured."""
    software: Line
    user_agent: Line
    licence: Line
    terms: Line = ""
    """Where the terms of use stand, or in which words they were given."""
    robots: dict[Line, RobotsSaid] = Field(max_length=100)
    """What each host says to robots: it has rules, which were kept to; none; or none could be had."""
    depth: int = Field(ge=0, le=100)
    stopped: Stopped = ""
    """The limit that ended it; empty if everything within reach was captured."""
    pages: int = Field(ge=0)
    left_out: dict[Why, int] = {}
    examples: tuple[Left, ...] = Field((), max_length=500)
    """Of what was left out, the first ones."""
    files: dict[WarcName, WarcFile] = Field(min_length=1, max_length=1000)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.ended < self.began:
            raise ValueError("ended before it began")
        if any(urls.plain(url) != url for url in self.starts):
            raise ValueError("starts")
        return self


def file_of(path: Path) -> WarcFile:
    """A file of a snapshot that is on the disk now."""
    durable.sync(path)
    with path.open("rb") as file:
        return WarcFile(sha256=hashlib.file_digest(file, "sha256").hexdigest(), size=path.stat().st_size)


def line_of(words: str) -> str:
    """As a `Line` may be."""
    return "".join(sign if sign.isprintable() else " " for sign in words).strip()[:500]


def read(data: bytes) -> Manifest | None:
    """The manifest, or None if it is none."""
    if len(data) > LONGEST:
        return None
    try:
        return Manifest.model_validate_json(data)
    except (ValidationError, RecursionError):
        return None
