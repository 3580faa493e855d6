"""A root file system as layers of a container's image: what changes seldom lies lowest."""

import gzip
import hashlib
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from appliance import RELEASED
from appliance.errors import ContainerImageError

NAMES: Final = ("debian", "python", "models", "box")
"""Lowest first."""
_PLACES: Final = (
    ("opt/hako/base/lib/python3.11/site-packages/appliance", "box"),
    ("opt/hako/base/lib/python3.11/site-packages/webui", "box"),
    ("opt/hako/base/lib/python3.11/site-packages/hako_appliance-", "box"),
    ("opt/hako/base/bin/hako", "box"),
    ("usr/share/hako/release", "box"),
    ("usr/bin/hako", "box"),
    ("opt/hako", "python"),
    ("usr/share/hako", "models"),
)
"""The first that a path begins with counts; the rest is Debian's."""
_LONG_AGO: Final = 1_577_836_800
"""The date of all that no release of ours dates (2020): layers that hold the same are then the same file."""
_LEVEL: Final = 6


@dataclass(frozen=True)
class Layer:
    """`file` is compressed and lies where it was made; `content`: SHA-256 of what is in it, uncompressed."""

    name: str
    file: Path
    digest: str
    content: str
    size: int


class _Hashed:
    """Passes bytes on, and hashes them."""

    def __init__(self, to: IO[bytes] | gzip.GzipFile) -> None:
        self._to, self.sha256, self.size = to, hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        self.size += len(data)
        return self._to.write(data)

    def flush(self) -> None:
        self._to.flush()


class _Writing:
    """One layer while it is written."""

    def __init__(self, name: str, file: Path, closing: ExitStack) -> None:
        self.name, self.file, self.names = name, file, set[str]()
        self.compressed = _Hashed(closing.enter_context(file.open("wb")))
        packed = gzip.GzipFile("", "wb", _LEVEL, self.compressed, mtime=0)
        self.plain = _Hashed(closing.enter_context(packed))
        self.tar = closing.enter_context(
            tarfile.TarFile.open(fileobj=self.plain, mode="w|", format=tarfile.PAX_FORMAT)  # type: ignore[call-overload]
        )

    def done(self) -> Layer:
        """Once all of it is closed."""
        found = self.compressed
        return Layer(self.name, self.file, found.sha256.hexdigest(), self.plain.sha256.hexdigest(), found.size)


def split(root: Path, out: Path) -> list[Layer]:
    """The tar `root` as layers in the folder `out`, lowest first. The same tar makes the same bytes.

    Raises:
        ContainerImageError: it holds what no layer can.
    """
    with _writing(out) as layers, tarfile.open(root, "r|") as source:
        for member in source:
            name = member.name.removeprefix("./").strip("/")
            if name in ("", ".") or member.ischr() or member.isblk() or member.isfifo():  # the runtime makes devices
                continue
            layer = layers[layer_of(name)]
            linked = member.linkname.removeprefix("./") if member.islnk() else ""
            if linked and linked not in layer.names:
                raise ContainerImageError(f"{name} is {linked}", step="layers")
            layer.names.add(name)
            _plain(member, name, linked, layer.name)
            layer.tar.addfile(member, source.extractfile(member) if member.isreg() else None)
    return [layer.done() for layer in layers.values()]


@contextmanager
def _writing(out: Path) -> Iterator[dict[str, _Writing]]:
    with ExitStack() as closing:
        yield {name: _Writing(name, out / f"{name}.tar.gz", closing) for name in NAMES}


def layer_of(path: str) -> str:
    """In which layer a path lies."""
    return next((layer for begin, layer in _PLACES if path.startswith(begin)), NAMES[0])


def _plain(member: tarfile.TarInfo, name: str, linked: str, layer: str) -> None:
    """Names and numbers without anything of the builder's."""
    member.name = name
    if linked:
        member.linkname = linked
    member.uname = member.gname = ""
    member.mtime = RELEASED if layer == NAMES[-1] else _LONG_AGO
    kept = ("SCHILY.xattr.",)
    member.pax_headers = {key: value for key, value in member.pax_headers.items() if key.startswith(kept)}
