"""HTTP to a child over its unix socket: answers as JSON or as a stream, either of which can be cut at any moment."""

import contextlib
import json
import select
import socket
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import h11

from appliance import clock
from appliance.closing import Closing
from appliance.errors import CancelledError, HakoError, ModelFailedError
from appliance.inference.refusals import refusal

_LOOK_SECONDS = 0.1
_SILENCE_SECONDS = 600.0
_CHUNK = 65536

Stopped = Callable[[], bool]
Refused = Callable[[int, bytes, str], HakoError]


class ChildConnection(Closing):
    """One connection to one child; requests one after the other.

    The protocol comes from h11, the waiting is done here: a blocking HTTP client can't look every tenth
    of a second whether anybody still wants the answer, and that is what a stop within half a second needs.
    `cut` may be called from any thread.
    """

    def __init__(self, path: Path, api_key: str, model: str, refused: Refused = refusal) -> None:
        """`refused` makes the error of an answer other than 200: from its status, its body and the model's name."""
        self._model = model
        self._refused = refused
        self._headers = [
            ("Host", "child"),
            ("Authorization", f"Bearer {api_key}"),
            ("Content-Type", "application/json"),
        ]
        self._path = path
        self._cut = False
        self._connect()

    def _connect(self) -> None:
        self._http = h11.Connection(h11.CLIENT)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(str(self._path))
        except OSError as error:
            self._socket.close()
            raise self._failed(error) from error
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    def send(self, path: str, body: dict[str, Any]) -> None:
        """Send a request; `begin` must follow."""
        payload = json.dumps(body, ensure_ascii=False).encode()
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        elif self._http.our_state is h11.MUST_CLOSE:  # llama.cpp takes a hundred requests on one connection
            self._socket.close()
            self._connect()
            if self._cut:
                raise CancelledError("cut")
        request = h11.Request(
            method="POST", target=path, headers=[*self._headers, ("Content-Length", str(len(payload)))]
        )
        data = self._http.send(request) or b""
        data += self._http.send(h11.Data(payload)) or b""
        data += self._http.send(h11.EndOfMessage()) or b""
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise self._failed(error) from error

    def begin(self, stopped: Stopped | None = None) -> None:
        """Wait until the answer begins.

        Raises:
            CancelledError: `stopped` said so.
            ContextTooLongError, BadInputError: the engine refused the request.
            ModelFailedError: the engine died, or was silent for ten minutes.
        """
        for event in self._events(stopped):
            if isinstance(event, h11.Response):
                if event.status_code == HTTPStatus.OK:
                    return
                raise self._refused(event.status_code, b"".join(self.chunks(stopped)), self._model)

    def chunks(self, stopped: Stopped | None = None) -> Iterator[bytes]:
        """The answer's body as it comes, unchanged."""
        for event in self._events(stopped):
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return

    def json(self, path: str, body: dict[str, Any], stopped: Stopped | None = None) -> dict[str, Any]:
        """Request and whole answer."""
        self.send(path, body)
        self.begin(stopped)
        try:
            answer = json.loads(b"".join(self.chunks(stopped)))
        except ValueError as error:
            raise self._failed(error) from error
        if not isinstance(answer, dict):
            raise self._failed(TypeError("not an object"))
        return answer

    def cut(self) -> None:
        """End the request now: the engine sees the closed connection and stops computing."""
        self._cut = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes a thread that is reading

    def close(self) -> None:
        self.cut()
        self._socket.close()

    def _events(self, stopped: Stopped | None) -> Iterator[h11.Event]:
        while True:
            try:
                event = self._http.next_event()
            except h11.ProtocolError as error:  # also an answer that ends in the middle: the child died
                raise self._ended(error) from error
            if event is h11.NEED_DATA:
                self._http.receive_data(self._receive(stopped))
            elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
                raise self._ended(None)
            elif isinstance(event, h11.Response | h11.Data | h11.EndOfMessage):
                yield event

    def _receive(self, stopped: Stopped | None) -> bytes:
        deadline = clock.monotonic() + _SILENCE_SECONDS
        while True:
            if stopped and stopped():  # asked before each piece too: a quick engine never keeps us waiting
                self.cut()
                raise CancelledError("stopped")
            if self._poll.poll(_LOOK_SECONDS * 1000):
                break
            if clock.monotonic() > deadline:
                self.cut()
                raise self._failed(TimeoutError("silent"))
        try:
            return self._socket.recv(_CHUNK)
        except OSError as error:
            raise self._ended(error) from error

    def _ended(self, error: BaseException | None) -> HakoError:
        return CancelledError("cut") if self._cut else self._failed(error)

    def _failed(self, error: BaseException | None) -> HakoError:
        return ModelFailedError(f"engine connection: {error!r}", name=self._model)
