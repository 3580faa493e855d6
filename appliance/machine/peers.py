"""Who is at the other end of a unix socket, as the kernel says."""

import os
import socket
import struct
from dataclasses import dataclass

_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True)
class Peer:
    """A process at the moment it connected."""

    pid: int
    uid: int
    gid: int


def peer(connection: socket.socket) -> Peer:
    """The process that opened `connection`, a connected unix socket."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return Peer(*_CREDENTIALS.unpack(raw))


def is_own_or_root(connection: socket.socket) -> bool:
    """Whether the other side runs as the same user as this process, or as root."""
    return peer(connection).uid in {0, os.geteuid()}
