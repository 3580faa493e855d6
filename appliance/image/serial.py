"""One of an emulated machine's serial lines: all that is said on it, and what is typed into it."""

import codecs
import contextlib
import os
import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from appliance.errors import BootTestError

_LOOK_S: Final = 0.2
_START_S: Final = 30.0
_TERMINAL: Final = re.compile(r"\x1b(\[[0-9;?=]*[A-Za-z]|[()][A-Z0-9]|[=>c78])|\r")


class Serial:
    """`alive` says whether the machine still runs: nothing more is waited for where it doesn't."""

    def __init__(self, path: Path, alive: Callable[[], bool]) -> None:
        self._alive, self._seen, self.text = alive, 0, ""
        """`text`: all that was said, without a terminal's own words."""
        until = time.monotonic() + _START_S
        while True:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                self._socket.connect(os.fspath(path))
            except OSError:
                self._socket.close()
                if time.monotonic() > until or not alive():
                    raise BootTestError("no serial line", step=path.name) from None
                time.sleep(_LOOK_S)
            else:
                break
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        """All the time: a line that nobody reads stands still after a few hundred letters."""
        letters = codecs.getincrementaldecoder("utf-8")("replace")
        with contextlib.suppress(OSError):
            while said := self._socket.recv(65536):
                self.text += _TERMINAL.sub("", letters.decode(said))

    def expect(self, pattern: str, within_s: float) -> re.Match[str]:
        """Wait until it is said, behind what was found before.

        Raises:
            BootTestError: it was not, or the machine has ended; the last of what was said is the detail.
        """
        until = time.monotonic() + within_s
        wanted = re.compile(pattern)
        while True:
            found = wanted.search(self.text, self._seen)
            if found:
                self._seen = found.end()
                return found
            if time.monotonic() > until or not self._alive():
                raise BootTestError(self.text[-3000:], step=f"console: {pattern}")
            time.sleep(_LOOK_S)

    def send(self, line: str, end: str = "\r") -> None:
        """Type a line."""
        self._socket.sendall((line + end).encode())

    def close(self) -> None:
        """No more."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
