"""The way out: HTTP from a unix socket to the destinations that an operator named, and to nowhere else."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Final

import h11

from appliance import logs
from appliance.gateway.destinations import Destination, Destinations
from appliance.gateway.far import Ended, Far, FarError, Gone
from appliance.unix_server import Allowed, UnixServer

log = logs.get(__name__)

NOT_NAMED: Final = HTTPStatus.MISDIRECTED_REQUEST
BUSY: Final = HTTPStatus.TOO_MANY_REQUESTS

NO_KEY: Final = "-"
"""Stands for "without a key" on the unix socket, where a client always sends one."""

_METHODS: Final = {
    "/v1/chat/completions": "POST",
    "/v1/completions": "POST",
    "/v1/embeddings": "POST",
    "/v1/models": "GET",
}
"""All that can be asked of a destination for models."""
HOOK: Final = "/hook"
"""Stands for the path that a destination for alerts was named with: all that can be asked of it."""
SIGNATURE: Final = b"x-hako-signature"
_LONGEST_BODY: Final = 64 << 20
_LONGEST_ANSWER: Final = 256 << 20
_LONGEST_REFUSAL: Final = 64 << 10
_PLACES: Final = 128
_SEND_S: Final = 90.0
_CHUNK: Final = 65536


class EgressServer:
    """Answers until stopped. Every request looks into the list of destinations anew, and goes by it until its end."""

    def __init__(self, path: Path, destinations: Destinations, allowed: Allowed) -> None:
        """`allowed`: whether the process at the other end of a connection may ask."""
        self._destinations = destinations
        self._busy: dict[str, int] = {}
        self._counting = threading.Lock()
        self._server = UnixServer(path, self._serve, allowed, _PLACES)

    def start(self) -> None:
        """Open the socket and answer from now on; one that a killed process left is replaced.

        Raises:
            ConflictError: another one serves this data folder.
        """
        self._server.start()

    def stop(self) -> None:
        """Close the socket and cut what is going on."""
        self._server.stop()

    def _serve(self, near: socket.socket) -> None:
        with near, contextlib.suppress(OSError, h11.ProtocolError, Gone):
            near.settimeout(_SEND_S)
            asking = _Asking(near)
            while asking.receive():
                self._answer(asking)

    def _answer(self, asking: "_Asking") -> None:
        name, _, path = asking.target.lstrip("/").partition("/")
        destination = self._destinations.all().get(name)
        is_hook = destination is not None and destination.kind == "alerts"
        method = ("POST" if f"/{path}" == HOOK else None) if is_hook else _METHODS.get(f"/{path}")
        if destination is None or method is None:
            asking.refuse(NOT_NAMED)
            return
        with self._place(destination) as is_free:
            if not is_free:
                asking.refuse(BUSY)
                return
            try:
                self._relay(asking, destination, method, "" if is_hook else path.removeprefix("v1"))
            except FarError as error:
                log.warning("destination_failed", destination=name, reason=error.reason)
                if asking.has_begun:
                    raise Gone from error
                asking.refuse(error.status)

    def _relay(self, asking: "_Asking", destination: Destination, method: str, path: str) -> None:
        def is_over() -> bool:
            return self._server.ending.is_set() or self._destinations.all().get(destination.name) != destination

        with Far(destination, asking.near, is_over) as far:
            if destination.kind == "alerts":
                far.send(method, destination.hook, [(b"X-Hako-Signature", asking.signature)], asking.body)
            else:
                far.send(method, far.below(path), [(b"Authorization", asking.authorization)], asking.body)
            status, kind = far.begin()
            limit = _LONGEST_ANSWER if status == HTTPStatus.OK else _LONGEST_REFUSAL
            asking.begin(status, kind)
            size = 0
            for piece in far.pieces():
                size += len(piece)
                if size > limit:
                    raise FarError("answer too long", HTTPStatus.BAD_GATEWAY)
                asking.pass_on(piece)
            asking.end()

    @contextlib.contextmanager
    def _place(self, destination: Destination) -> Iterator[bool]:
        name = destination.name
        with self._counting:
            is_free = self._busy.get(name, 0) < destination.at_once
            if is_free:
                self._busy[name] = self._busy.get(name, 0) + 1
        try:
            yield is_free
        finally:
            if is_free:
                with self._counting:
                    self._busy[name] -= 1


class _Asking:
    """The requests of one connection from the box, one after the other."""

    def __init__(self, near: socket.socket) -> None:
        self.near = near
        self.target = ""
        self.authorization: bytes | None = None
        self.signature: bytes | None = None
        self.body = b""
        self.has_begun = False
        self._http = h11.Connection(h11.SERVER)

    def receive(self) -> bool:
        """Read the next request; False when there is none."""
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        elif self._http.our_state is not h11.IDLE:
            return False
        self.has_begun, parts, size = False, [], 0
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(self.near.recv(_CHUNK))
            elif isinstance(event, h11.Request):
                self.target = event.target.decode("ascii", "replace")
                headers = dict(event.headers)
                self.signature = headers.get(SIGNATURE)
                given = headers.get(b"authorization")
                self.authorization = None if given == f"Bearer {NO_KEY}".encode() else given
            elif isinstance(event, h11.Data):
                parts.append(bytes(event.data))
                size += len(event.data)
                if size > _LONGEST_BODY:
                    return False
            elif isinstance(event, h11.EndOfMessage):
                self.body = b"".join(parts)
                return True
            else:
                return False

    def begin(self, status: int, kind: bytes) -> None:
        self.has_begun = True
        self._send(h11.Response(status_code=status, headers=[(b"Content-Type", kind)]))

    def pass_on(self, piece: bytes) -> None:
        self._send(h11.Data(piece))

    def end(self) -> None:
        self._send(h11.EndOfMessage())

    def refuse(self, status: int) -> None:
        """An answer of this process itself."""
        self.begin(status, b"application/json")
        self.pass_on(json.dumps({"error": {"type": "egress", "code": int(status)}}).encode())
        self.end()

    def _send(self, event: h11.Event) -> None:
        try:
            self.near.sendall(self._http.send(event) or b"")
        except OSError as error:
            raise Ended from error
