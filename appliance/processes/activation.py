"""Sockets that the service manager opened for this process before it started it (`LISTEN_FDS`)."""

import os
import socket
from pathlib import Path
from typing import Final

_FIRST: Final = 3


def taken(environment: "os._Environ[str] | dict[str, str]") -> list[socket.socket]:
    """Those meant for this very process, in the order of the socket unit; its children get none of this."""
    meant = environment.pop("LISTEN_PID", "") == str(os.getpid())
    count = environment.pop("LISTEN_FDS", "")
    environment.pop("LISTEN_FDNAMES", None)
    if not meant or not count.isdecimal():
        return []
    sockets = [socket.socket(fileno=number) for number in range(_FIRST, _FIRST + int(count))]
    for each in sockets:
        os.set_inheritable(each.fileno(), False)
    return sockets


def unix(path: Path, mode: int) -> socket.socket:
    """A unix socket of our own beside those; one that a killed process left there goes."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    path.unlink(missing_ok=True)
    before = os.umask(0o777 & ~mode)
    try:
        made.bind(str(path))
    finally:
        os.umask(before)
    made.listen(socket.SOMAXCONN)
    return made
