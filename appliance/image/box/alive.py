"""Whether the box in a container answers at its own socket: what the runtime asks again and again."""

import contextlib
import os
import socket
import ssl
import sys
from pathlib import Path
from typing import Final

SOCKET: Final = Path("run/admin.sock")
"""In the folder of the data."""
_WITHIN_S: Final = 20.0
_ASKED: Final = b"GET /api/v1/state HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def main() -> int:
    """0 if it does; a sealed vault is no fault."""
    try:
        return 0 if answers(Path(os.environ["HAKO_DATA_DIR"])) else 1
    except (KeyError, OSError):  # ssl.SSLError is one
        return 1


def answers(data: Path) -> bool:
    """Whether it says that all is well. With TLS or without, as the pages are. Raises OSError."""
    # Without first: who waits for a greeting of TLS hangs up at once on other words, who waits for words is patient.
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        if line := _first_line(data, is_plain=True):
            return b" 200 " in line
    return b" 200 " in _first_line(data, is_plain=False)


def _first_line(data: Path, *, is_plain: bool) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as bare:
        bare.settimeout(_WITHIN_S)
        bare.connect(os.fspath(data / SOCKET))
        # The kernel vouches for the path, so nobody looks whom the certificate names.
        with bare if is_plain else ssl._create_unverified_context().wrap_socket(bare) as line:  # noqa: S323, SLF001
            line.sendall(_ASKED)
            return line.recv(64)


if __name__ == "__main__":
    sys.exit(main())
