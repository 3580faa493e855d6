"""One JSON object per line over a unix socket: how the supervisor and its clients speak."""

import json
import socket
from typing import Any

from appliance.errors import BadInputError

LONGEST_LINE = 1 << 20

Message = dict[str, Any]


def send(connection: socket.socket, message: Message) -> None:
    """Write one message."""
    connection.sendall(json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")


class Lines:
    """Messages of one connection, in order."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = bytearray()

    @property
    def pending(self) -> bool:
        """Whether a whole message has come already, so that waiting for the connection would be waiting for another."""
        return b"\n" in self._buffer

    def receive(self) -> Message | None:
        """The next message, or None when the other side has closed.

        Raises:
            BadInputError: not a JSON object, or longer than any message may be.
            TimeoutError: the connection's own time limit passed; what came so far is kept.
        """
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > LONGEST_LINE:
                raise BadInputError("line too long", field="message")
            received = self._connection.recv(65536)
            if not received:
                return None
            self._buffer += received
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        try:
            message = json.loads(line)
        except ValueError as error:
            raise BadInputError("not JSON", field="message") from error
        if not isinstance(message, dict):
            raise BadInputError("not an object", field="message")
        return message
