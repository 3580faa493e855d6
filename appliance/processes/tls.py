"""The server's side of TLS: a certificate that is replaced on the disk serves from the next connection on."""

import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

from appliance import logs

log = logs.get(__name__)


class Certified:
    """Makes contexts of the files as they are. For one thread."""

    def __init__(self, make: Callable[[], ssl.SSLContext], files: Sequence[Path]) -> None:
        """`make`: reads the files. Raises what it raises where they can't be used at the start."""
        self._make, self._files = make, files
        self._seen = self._stamp()
        self._context = make()

    def context(self) -> ssl.SSLContext:
        """For the next connection. Files that don't fit each other, as between two renames, are looked at once more."""
        seen = self._stamp()
        if seen != self._seen:
            try:
                self._context = self._make()
            except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
                log.info("certificate_waits", reason=type(error).__name__)
            else:
                self._seen = seen
                log.info("certificate_renewed")
        return self._context

    def _stamp(self) -> tuple[tuple[int, int, int], ...]:
        found = []
        for file in self._files:
            try:
                known = file.stat()
                found.append((known.st_ino, known.st_mtime_ns, known.st_size))
            except OSError:
                found.append((0, 0, 0))
        return tuple(found)
