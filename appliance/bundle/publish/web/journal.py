"""How far a capture is: a line for each address that is done, on the disk before the next one is fetched."""

import json
import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from appliance import durable
from appliance.closing import Closing
from appliance.errors import CaptureOtherError
from appliance.warc.manifest import RobotsSaid, Why
from appliance.warc.writer import Place


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Wish(_Shape):
    """What is to be captured, and how far it may go. Sizes in bytes, times in seconds."""

    name: str
    starts: tuple[str, ...]
    """Plain addresses; their hosts are those that are captured."""
    kinds: tuple[str, ...] = ("html", "text", "pdf")
    """Of `html`, `text`, `pdf`, `image`, `css`."""
    depth: int = 1
    """Links from a start address to the last page."""
    pages: int = 100
    total_bytes: int = 200 << 20
    file_bytes: int = 20 << 20
    seconds: float = 3600
    delay_s: float = 1.0
    """At least so long between two requests to one host."""
    agent: str = "hako-capture"
    by: str = ""
    licence: str
    terms: str = ""
    title_ja: str = ""
    title_en: str = ""
    allow_private: bool = False


class Begun(_Shape):
    """The first line."""

    wish: Wish
    at: int


class Done(_Shape):
    """An address that is done: kept, or left out and why. `file` and `end`: how far the WARC files are written."""

    url: str
    depth: int = 0
    part: bool = False
    """A picture or a style sheet, which doesn't count as a page."""
    kept: bool = False
    why: Why | None = None
    file: int = 0
    end: int = 0
    size: int = 0
    title: str = ""
    pages: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    moved: str = ""
    """Where it leads to instead of a page of its own."""
    robots: RobotsSaid | None = None
    """Of a line about a host's robots.txt."""


class Journal(Closing):
    """In `<folder>/<name>.capture`; removed once the snapshot is whole."""

    def __init__(self, folder: Path, wish: Wish, now: float) -> None:
        """Begin, or go on. Raises CaptureOtherError: what is there was made with another wish."""
        self._path = folder / f"{wish.name}.capture"
        lines = self._path.read_bytes().split(b"\n")[:-1] if self._path.exists() else []
        try:
            self.begun = Begun.model_validate_json(lines[0]) if lines else Begun(wish=wish, at=int(now))
            self.done = [Done.model_validate_json(line) for line in lines[1:]]
        except ValidationError as error:
            raise CaptureOtherError("journal", name=wish.name) from error
        if self.begun.wish != wish:
            raise CaptureOtherError("another wish", name=wish.name)
        self._file = self._path.open("r+b" if lines else "wb")
        self._file.truncate(sum(len(line) + 1 for line in lines))  # a line that a power cut has halved is none
        self._file.seek(0, os.SEEK_END)
        if not lines:
            self._append(self.begun)
            durable.sync(folder)

    @property
    def place(self) -> Place:
        """How far the WARC files are written."""
        last = next((each for each in reversed(self.done) if each.end), None)
        return Place(last.file, last.end) if last else Place(0, 0)

    def add(self, done: Done) -> None:
        """Write a line. Raises DiskFullError."""
        self.done.append(done)
        self._append(done)

    def remove(self) -> None:
        """The capture has ended."""
        self.close()
        self._path.unlink()

    def close(self) -> None:
        """Let the file go; it can be gone on with."""
        self._file.close()

    def _append(self, line: Begun | Done) -> None:
        with durable.told_when_full():
            self._file.write(json.dumps(line.model_dump(mode="json", exclude_defaults=True)).encode() + b"\n")
            self._file.flush()
            os.fdatasync(self._file.fileno())
