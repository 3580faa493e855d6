"""A ZIP that is made while it is sent: no file of it on a disk, and names that can't lead anywhere when unpacked."""

import io
import unicodedata
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

_PIECE: Final = 64 << 10
_BIG: Final = 1 << 31
"""From here on an entry is written with the fields for large files."""
_STEM_CHARS: Final = 80
_STEM_BYTES: Final = 160
"""Of UTF-8; with an ending, a number and the folders before it still a name for every file system."""
_ENDING_CHARS: Final = 10
_UNSAFE: Final = frozenset('<>:"/\\|?*')
_DEVICES: Final = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"}
)
"""Names that are no files on Windows, whatever their ending."""
_FIRST, _LAST = datetime(1980, 1, 1), datetime(2107, 12, 31)  # noqa: DTZ001 - ZIP has no time zones


@dataclass(frozen=True)
class Entry:
    """A file to come. `name` is made of names by `Names`, with `/` between; `at` in seconds since the epoch."""

    name: str
    pieces: Iterator[bytes]
    at: float
    size: int = 0
    """About; only whether it is a large one matters."""


class _Pipe(io.RawIOBase):
    """Takes what the archive writes until somebody fetches it."""

    def __init__(self) -> None:
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, content: object) -> int:
        view = memoryview(content).cast("B")  # type: ignore[arg-type]
        self._held += view
        return len(view)

    def __len__(self) -> int:
        return len(self._held)

    def fetch(self) -> bytes:
        """What was written since the last time."""
        content = bytes(self._held)
        self._held.clear()
        return content


def stream(entries: Iterator[Entry]) -> Iterator[bytes]:
    """The bytes of the archive; an entry is asked for once the one before it is through. Small memory, however large.

    What fails while an entry is read fails here too: an archive that is cut off has no directory and can't be opened.
    """
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for entry in entries:
            info = zipfile.ZipInfo(entry.name, _moment(entry.at))
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o600 << 16
            with archive.open(info, "w", force_zip64=entry.size >= _BIG) as target:
                for piece in entry.pieces:
                    target.write(piece)
                    if len(pipe) >= _PIECE:
                        yield pipe.fetch()
    yield pipe.fetch()


class Names:
    """The names of one folder: each only once, also where upper and lower case are the same."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def new(self, wish: str, otherwise: str, ending: str | None = None) -> str:
        """A name like `wish`, `otherwise` if nothing of it is left; its own ending unless another, or "", is given."""
        if ending is None and "." in wish:
            stem, _dot, last = wish.rpartition(".")
            last = _plain(last)
            if stem and last.isalnum() and len(last) <= _ENDING_CHARS:
                wish, ending = stem, f".{last}"
        stem = _short(_plain(wish)) or otherwise
        if stem.partition(".")[0].rstrip(" ").casefold() in _DEVICES:
            stem = f"_{stem}"
        ending = ending or ""
        name, number = stem + ending, 1
        while _folded(name) in self._taken:
            number += 1
            name = f"{stem} ({number}){ending}"
        self._taken.add(_folded(name))
        return name


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())


def _plain(text: str) -> str:
    """Nothing that is more than a letter to some system, and no dots or blanks at the ends."""
    composed = unicodedata.normalize("NFC", text)
    kept = "".join("_" if sign in _UNSAFE or unicodedata.category(sign)[0] == "C" else sign for sign in composed)
    return " ".join(kept.split()).strip(". ")


def _short(text: str) -> str:
    cut = text[:_STEM_CHARS].encode()[:_STEM_BYTES].decode("utf-8", "ignore")
    return cut.strip(". ")


def _moment(at: float) -> tuple[int, int, int, int, int, int]:
    moment = datetime.fromtimestamp(at)  # noqa: DTZ006 - as every ZIP has it
    moment = min(max(moment, _FIRST), _LAST)
    return moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second
