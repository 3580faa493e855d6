"""What a model comes from: an ordinary file or a folder, opened once, so that nobody can swap it afterwards."""

import contextlib
import os
import stat
import unicodedata
from dataclasses import dataclass

from appliance.closing import Closing
from appliance.errors import ModelFileError, ModelPathError

_CHUNK = 4 << 20
_NAME_CHARS = 100


@dataclass(frozen=True)
class Source(Closing):
    """An ordinary file, open for reading."""

    descriptor: int
    name: str
    size: int
    identity: tuple[int, int]

    def read(self, place: int) -> bytes:
        """Some bytes from `place` on; none at the end."""
        try:
            return os.pread(self.descriptor, _CHUNK, place)
        except OSError as error:  # e.g. the stick was pulled out
            raise ModelFileError(f"read: {error.strerror}", name=self.name) from error

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self.descriptor)


@dataclass(frozen=True)
class SourceFolder(Closing):
    """A folder, open; whoever opens the files in it takes it over."""

    descriptor: int
    name: str

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self.descriptor)


def opened(path: str, name: str = "") -> Source:
    """Links, folders, pipes and devices are refused alike, before and after opening.

    `name` is what people call the file, if that is not the name it has here.

    Raises:
        ModelPathError: no ordinary file that can be read.
    """
    shown = shown_name(name or os.path.basename(path))  # noqa: PTH119 - a text, maybe with a NUL in it
    if "\0" in path or not path.startswith("/") or ".." in path.split("/"):
        raise ModelPathError("not an absolute path", name=shown)
    return opened_at(path, shown)


def opened_at(path: str, shown: str, folder: int | None = None) -> Source:
    """The same for a path that is known to be plain; with `folder`, a name in that open folder.

    Raises:
        ModelPathError: no ordinary file that can be read.
    """
    refused = ModelPathError("not an ordinary file", name=shown)
    try:
        if not stat.S_ISREG(os.stat(path, dir_fd=folder, follow_symlinks=False).st_mode):
            raise refused
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        descriptor = os.open(path, flags, dir_fd=folder)
    except (OSError, ValueError):
        raise refused from None
    state = os.fstat(descriptor)
    if not stat.S_ISREG(state.st_mode):
        os.close(descriptor)
        raise refused
    return Source(descriptor, shown, state.st_size, (state.st_dev, state.st_ino))


def shown_name(name: str) -> str:
    """A file's name as people may see it."""
    return one_line(name)[:_NAME_CHARS] or "?"


def one_line(text: str) -> str:
    """Without control characters, and whatever else could change how the words around it look."""
    return "".join(sign for sign in text if unicodedata.category(sign)[0] != "C").strip()
