"""How the keys process and its clients speak: one JSON line asks, one answers, then the connection closes."""

import json
import socket
from dataclasses import dataclass
from typing import Any

from appliance import clock
from appliance.errors import BadInputError

LONGEST_LINE = 1 << 15

Message = dict[str, Any]


@dataclass(frozen=True)
class VaultStatus:
    """What anybody on the box may know about the vault."""

    exists: bool
    sealed: bool
    recovery_confirmed: bool
    """Whether somebody confirmed that the present recovery key was written down."""


def send(connection: socket.socket, message: Message) -> None:
    """Write one message.

    Raises:
        BadInputError: longer than the other side would read.
    """
    line = json.dumps(message, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
    if len(line) > LONGEST_LINE:
        raise BadInputError("line too long", field="message")
    connection.sendall(line)


def receive(connection: socket.socket, within_s: float) -> Message | None:
    """The one message of this connection, or None when the other side closed without a whole one.

    Raises:
        BadInputError: not a JSON object, or longer than any message may be.
        TimeoutError: not there after `within_s` seconds, however slowly it trickles in.
    """
    deadline = clock.monotonic() + within_s
    buffer = bytearray()
    while (end := buffer.find(b"\n")) < 0:
        if len(buffer) > LONGEST_LINE:
            raise BadInputError("line too long", field="message")
        left = deadline - clock.monotonic()
        if left <= 0:
            raise TimeoutError("no whole message in time")
        connection.settimeout(left)
        received = connection.recv(65536)
        if not received:
            return None
        buffer += received
    try:
        message = json.loads(buffer[:end])
    except (ValueError, RecursionError):
        # Without the cause: a message holds secrets, and the parser's error quotes it.
        raise BadInputError("not JSON", field="message") from None
    if not isinstance(message, dict):
        raise BadInputError("not an object", field="message")
    return message
