"""The client's side of the connection: who is on a unix socket, and whether a reader has left."""

import select
import socket
import threading
from collections.abc import Callable, Mapping, MutableMapping
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Any

from appliance.machine import peers

_ENDED = "hako.ended"


def _socket_of(environ: Mapping[str, Any]) -> socket.socket | None:
    return environ.get("gunicorn.socket")


def is_local_admin(environ: Mapping[str, Any]) -> bool:
    """Whether the request came through the admin socket, from this box's own account or root."""
    connection = _socket_of(environ)
    if connection is None or connection.family != socket.AF_UNIX:
        return False
    return peers.is_own_or_root(connection)


def is_unix(environ: Mapping[str, Any]) -> bool:
    """Whether the request came through a unix socket at all."""
    connection = _socket_of(environ)
    return connection is not None and connection.family == socket.AF_UNIX


def asker(environ: Mapping[str, Any]) -> str:
    """Whose tries a guess at a secret counts among: an address, or empty for the admin socket.

    Of IPv6 it is the network, since one machine there has as many addresses as it likes.
    """
    if is_local_admin(environ):
        return ""
    try:
        address = ip_address(str(environ.get("REMOTE_ADDR", "")).partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(address, IPv4Address):
        return str(address)
    return str(address.ipv4_mapped or ip_network((address, 64), strict=False))


def address(environ: Mapping[str, Any]) -> str:
    """Of the machine that asks; empty on the admin socket."""
    return "" if is_unix(environ) else str(environ.get("REMOTE_ADDR", ""))


def port(environ: Mapping[str, Any]) -> int | None:
    """The port of this box that the request came in by, as the kernel knows it; None where there is no such port."""
    connection = _socket_of(environ)
    if connection is None or connection.family == socket.AF_UNIX:
        return None
    return int(connection.getsockname()[1])


def arrived(environ: Mapping[str, Any]) -> str:
    """The address of this machine at which the request came in, as the kernel knows it; empty where it has none."""
    connection = _socket_of(environ)
    if connection is None or connection.family == socket.AF_UNIX:
        return ""
    found = ip_address(str(connection.getsockname()[0]).partition("%")[0])
    return str(getattr(found, "ipv4_mapped", None) or found)


def ends_with(environ: MutableMapping[str, Any], ended: Callable[[], bool]) -> None:
    """What else than the client's leaving ends a long answer to this request."""
    environ[_ENDED] = ended


def watcher(environ: Mapping[str, Any]) -> Callable[[], bool]:
    """A question that can be asked at any time, from any thread: has the client closed its connection?

    Yes also once it may get no more: its session or key has ended, or the box is stopping. Works on plain and on
    TLS sockets, since it looks at the transport and reads nothing.
    """
    ended: Callable[[], bool] = environ.get(_ENDED, lambda: False)
    connection = _socket_of(environ)
    if connection is None:
        return ended
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLRDHUP)
    asking = threading.Lock()  # Python refuses a poll object that two threads ask at once

    def left() -> bool:
        with asking:
            is_gone = bool(poll.poll(0))
        return is_gone or ended()

    return left
