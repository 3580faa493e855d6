"""One request to one destination: to its pinned address, with TLS where its URL says so, cut once nobody waits."""

import contextlib
import errno
import select
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address
from typing import Final, TypeVar

import h11

from appliance import clock
from appliance.closing import Closing
from appliance.gateway.destinations import Destination

T = TypeVar("T")

UNREACHABLE: Final = HTTPStatus.BAD_GATEWAY
REDIRECTS: Final = HTTPStatus.LOOP_DETECTED
WRONG_IDENTITY: Final = 525
"""No status of HTTP's own; used on the unix socket only."""

_LOOK_S: Final = 0.2
_CHECK_S: Final = 0.5
_CONNECT_S: Final = 10.0
_FIRST_BYTE_S: Final = 600.0
"""A large model reads a long question for minutes before its first word."""
_SILENCE_S: Final = 120.0
_CHUNK: Final = 65536
_PIECE: Final = 16 << 10
_LONGEST_HEAD: Final = 16 << 10
_KINDS: Final = (b"application/json", b"text/event-stream")


class FarError(Exception):
    """The destination can't be used; `reason` is in our own words, `status` what the box is told."""

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class Gone(Exception):  # noqa: N818 - no error: the usual end of an answer that was stopped
    """Nobody waits for the answer any more, or nobody may."""


class Ended(Gone):
    """The box's side of the connection is closed."""


class Far(Closing):
    """Nothing is looked up, no proxy is asked, nothing but the given address is connected to."""

    def __init__(self, destination: Destination, near: socket.socket, is_over: Callable[[], bool]) -> None:
        """`near`: who waits for the answer; `is_over`: whether the destination may not be used any longer."""
        self._destination = destination
        self._place = destination.place
        self._near, self._is_over = near, is_over
        self._checked = clock.monotonic()
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD)
        self._limit = _FIRST_BYTE_S
        family = socket.AF_INET6 if isinstance(ip_address(destination.address), IPv6Address) else socket.AF_INET
        self._socket: socket.socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    def below(self, path: str) -> str:
        """A path below the destination's own."""
        return self._place.path + path

    def send(self, method: str, path: str, own: Sequence[tuple[bytes, bytes | None]], body: bytes) -> None:
        """Send the request. `own`: headers beside the usual ones; those without a value are left out."""
        headers = [
            (b"Host", self._place.host_header.encode()),
            (b"Accept-Encoding", b"identity"),
            (b"Connection", b"close"),
        ]
        headers += [(name, value) for name, value in own if value is not None]
        content = body if method == "POST" else b""
        if content:
            headers += [(b"Content-Type", b"application/json"), (b"Content-Length", str(len(content)).encode())]
        request = h11.Request(method=method, target=path, headers=headers)
        data = (self._http.send(request) or b"") + (self._http.send(h11.Data(content)) or b"" if content else b"")
        data += self._http.send(h11.EndOfMessage()) or b""
        whole, sent = memoryview(data), 0
        while sent < len(whole):
            send = partial(self._socket.send, whole[sent : sent + _CHUNK])
            sent += self._when_possible(send, select.POLLOUT, _SILENCE_S)

    def begin(self) -> tuple[int, bytes]:
        """Wait for the answer to begin: its status and content type.

        Raises:
            FarError: it leads somewhere else, or never began.
        """
        for event in self._events():
            if isinstance(event, h11.Response):
                if HTTPStatus.MULTIPLE_CHOICES <= event.status_code < HTTPStatus.BAD_REQUEST:
                    raise FarError("redirect", REDIRECTS)
                self._limit = _SILENCE_S
                kind = dict(event.headers).get(b"content-type", b"").split(b";")[0].strip().lower()
                return event.status_code, kind if kind in _KINDS else b"application/octet-stream"
        raise FarError("no answer", UNREACHABLE)

    def pieces(self) -> Iterator[bytes]:
        """The answer's body as it comes."""
        for event in self._events():
            if isinstance(event, h11.Data):
                yield bytes(event.data)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _connect(self) -> None:
        target = (self._destination.address, self._place.port)
        try:
            _demand_well(self._socket.connect_ex(target), errno.EINPROGRESS)
            self._wait(select.POLLOUT, clock.monotonic() + _CONNECT_S)
            _demand_well(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            if self._place.tls:
                self._greet()
        except ssl.SSLError as error:
            raise FarError("certificate or TLS", WRONG_IDENTITY) from error
        except OSError as error:
            raise FarError("no connection", UNREACHABLE) from error

    def _greet(self) -> None:
        destination = self._destination
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # unlike the default one it writes no keys to a file
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if destination.fingerprint:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE  # the fingerprint says more
        elif destination.ca:
            context.load_verify_locations(cadata=destination.ca)
        else:
            context.load_default_certs()
        wrapped = context.wrap_socket(self._socket, server_hostname=self._place.host, do_handshake_on_connect=False)
        self._socket = wrapped
        self._when_possible(wrapped.do_handshake, select.POLLIN, _CONNECT_S)
        if destination.fingerprint and not destination.identifies(wrapped.getpeercert(binary_form=True) or b""):
            raise FarError("fingerprint", WRONG_IDENTITY)

    def _events(self) -> Iterator[h11.Event]:
        while True:
            try:
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    data = self._when_possible(lambda: self._socket.recv(_PIECE), select.POLLIN, self._limit)
                    self._http.receive_data(data)
                    continue
            except h11.ProtocolError as error:
                raise FarError("no HTTP, or it ended in the middle", UNREACHABLE) from error
            if isinstance(event, h11.EndOfMessage):
                return
            if isinstance(event, h11.Response | h11.Data):
                yield event
            elif not isinstance(event, h11.InformationalResponse):
                raise FarError("ended in the middle", UNREACHABLE)

    def _when_possible(self, act: Callable[[], T], wanted: int, within_s: float) -> T:
        """Do what would block as soon as it doesn't, with an eye on who waits."""
        until = clock.monotonic() + within_s
        while True:
            self._demand_wanted()
            try:
                return act()
            except BlockingIOError:
                self._wait(wanted, until)
            except ssl.SSLWantReadError:
                self._wait(select.POLLIN, until)
            except ssl.SSLWantWriteError:
                self._wait(select.POLLOUT, until)
            except ssl.SSLCertVerificationError as error:
                raise FarError("certificate", WRONG_IDENTITY) from error
            except OSError as error:
                raise FarError("connection lost", UNREACHABLE) from error

    def _wait(self, wanted: int, until: float) -> None:
        poll = select.poll()
        poll.register(self._socket, wanted)
        poll.register(self._near, select.POLLIN | select.POLLRDHUP)  # it has sent all it will: now it only leaves
        while True:
            ready = {descriptor for descriptor, _events in poll.poll(_LOOK_S * 1000)}
            if self._near.fileno() in ready:
                raise Ended
            if self._socket.fileno() in ready:
                return
            self._demand_wanted()
            if clock.monotonic() > until:
                raise FarError("silent", UNREACHABLE)

    def _demand_wanted(self) -> None:
        now = clock.monotonic()
        if now - self._checked >= _CHECK_S:
            self._checked = now
            if self._is_over():
                raise Gone


def _demand_well(problem: int, *harmless: int) -> None:
    if problem not in (0, *harmless):
        raise OSError(problem, "connect")
