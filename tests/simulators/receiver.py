"""A machine that alerts are told to: it takes requests on a port of loopback and answers as it is told."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

OK = b"HTTP/1.1 204 No Content\r\n\r\n"


class Receiver:
    """A machine of the network that takes a request and answers as it is told."""

    def __init__(self, answer: Callable[[socket.socket], None]) -> None:
        self.taken: list[tuple[str, dict[str, str], bytes]] = []
        self._answer = answer
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/ops/hook/"

    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _line, _headers, body in self.taken]

    def close(self) -> None:
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(10)

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                with connection, suppress(OSError):
                    connection.settimeout(5)
                    self._take(connection)
                    self._answer(connection)

    def _take(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as sent:
            line = sent.readline().decode().strip()
            headers = {}
            while (header := sent.readline().decode().strip()) != "":
                name, _, value = header.partition(": ")
                headers[name.lower()] = value
            self.taken.append((line, headers, sent.read(int(headers.get("content-length", 0)))))


def says(answer: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(answer)


@contextmanager
def receiver(answer: Callable[[socket.socket], None] | None = None) -> Iterator[Receiver]:
    opened = Receiver(answer or says(OK))
    try:
        yield opened
    finally:
        opened.close()
