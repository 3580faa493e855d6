"""Who is at the other end of a unix socket, as the kernel says."""

import os
import pwd
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

from appliance.errors import AccountError

_CREDENTIALS = struct.Struct("3i")
_NOBODYS = (0, 65534)


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


def allowing(*accounts: str) -> Callable[[socket.socket], bool]:
    """Whether the other side runs as one of these accounts, as this process's user or as root; empty names are nobody.

    Raises:
        AccountError: there is no such account here, or it is root's or the one of processes without any.
    """
    uids = {uid_of(name) for name in accounts if name}
    return lambda connection: peer(connection).uid in {0, os.geteuid(), *uids}


def uid_of(account: str) -> int:
    """The number of an account that is a process's own. Raises AccountError."""
    try:
        uid = pwd.getpwnam(account).pw_uid
    except KeyError as error:
        raise AccountError(name=account) from error
    if uid in _NOBODYS:
        raise AccountError(f"uid {uid}", name=account)
    return uid
