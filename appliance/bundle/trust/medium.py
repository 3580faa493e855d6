"""Reads files of an untrusted folder (a stick, an upload): one name after the other, no links, nothing that blocks.

The stick is hostile: it may carry links, pipes, devices and names that lead elsewhere, it may be pulled out, and it
may hang.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from tuf.api.exceptions import DownloadError, DownloadHTTPError, SlowRetrievalError
from tuf.ngclient import FetcherInterface

from appliance.bundle.trust.patience import Patience
from appliance.closing import Closing
from appliance.errors import BundleSlowError, BundleUnreadableError
from appliance.machine import folders

BASE: Final = "medium:///"
"""What a URL of `Medium` starts with; what follows is the path on the medium, as it is."""

_LONGEST_NAME: Final = 255
_DEEPEST: Final = 16
_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class Medium(FetcherInterface, Closing):
    """A folder that python-tuf reads from, and that parts are copied from."""

    def __init__(self, folder: Path, below: Sequence[str] = ()) -> None:
        """`below` leads on from a folder that somebody named, and no link is followed on that way.

        Raises:
            DownloadError: it isn't a folder that can be opened.
        """
        self._root = -1
        self._patience = Patience()
        try:
            self._root = self._patience.call(partial(folders.opened, folder, below))
        except (OSError, ValueError) as error:
            self._patience.end()
            raise DownloadError(f"medium: {type(error).__name__}") from error
        except SlowRetrievalError:
            self._patience.end()
            raise

    def close(self) -> None:
        """Let the folder go, so that the stick can be taken out."""
        if self._root >= 0:
            self._patience.release(self._root)
            self._patience.end()
            self._root = -1

    def read(self, path: str) -> Iterator[bytes]:
        """The bytes of one ordinary file, in pieces.

        Raises:
            DownloadHTTPError: 404, nothing there by that name.
            DownloadError: a link, a folder, a device, an impossible name, or the medium can't be read.
            SlowRetrievalError: it hangs or crawls, and is given up; a DownloadError, too.
        """
        return self._pieces(self._patience.call(partial(self._open, path)))

    def has(self, path: str) -> bool:
        """Whether an ordinary file lies there. Raises DownloadError where that can't be told."""
        try:
            self._patience.call(lambda: os.close(self._open(path)))
        except DownloadHTTPError:
            return False
        return True

    def names(self, folder: str, most: int = 10_000) -> list[str]:
        """What lies directly in a folder of the medium, at most so many; nothing if it isn't one."""
        return self._patience.call(partial(self._names, folder, most))

    def _names(self, folder: str, most: int) -> list[str]:
        try:
            opened = self._descend(folder, os.O_DIRECTORY)
        except DownloadError:
            return []
        try:
            with os.scandir(opened) as entries:
                return [entry.name for entry, _ in zip(entries, range(most), strict=False)]
        except OSError:
            return []
        finally:
            os.close(opened)

    def _pieces(self, opened: int) -> Iterator[bytes]:
        try:
            yield from self._patience.pieces(opened)
        except OSError as error:  # the stick was pulled out, or is dying
            raise DownloadError(f"read: {error.strerror}") from error

    def _fetch(self, url: str) -> Iterator[bytes]:
        if not url.startswith(BASE):
            raise DownloadError("not on the medium")
        return self.read(url.removeprefix(BASE))

    def _open(self, path: str) -> int:
        # O_NONBLOCK: a pipe in a file's place must not hold us up.
        opened = self._descend(path, os.O_NONBLOCK | os.O_NOCTTY)
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            os.close(opened)
            raise DownloadError(f"not an ordinary file: {path[:100]}")
        return opened

    def _descend(self, path: str, last_flags: int) -> int:
        *parents, last = _checked(path)
        here = os.dup(self._root)
        try:
            for name in parents:
                here = _step(here, name, os.O_DIRECTORY)
            return _step(here, last, last_flags)
        except FileNotFoundError:
            raise DownloadHTTPError(f"not there: {path[:100]}", 404) from None
        except OSError as error:
            raise DownloadError(f"{error.strerror}: {path[:100]}") from error


def _step(here: int, name: str, flags: int) -> int:
    """Open `name` below the folder `here`, which is closed in any case."""
    try:
        return os.open(name, _FLAGS | flags, dir_fd=here)
    finally:
        os.close(here)


def _checked(path: str) -> list[str]:
    parts = path.split("/")
    for part in parts:
        if part in ("", ".", "..") or "\0" in part or len(part.encode("utf-8", "replace")) > _LONGEST_NAME:
            raise DownloadError("impossible name")
    if len(parts) > _DEEPEST:
        raise DownloadError("too deep")
    return parts


def refusal(error: DownloadError) -> BundleUnreadableError:
    """What `Medium` raises, as users are told it."""
    kind = BundleSlowError if isinstance(error, SlowRetrievalError) else BundleUnreadableError
    return kind(str(error)[:200])
