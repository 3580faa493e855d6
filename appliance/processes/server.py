"""gunicorn's threaded worker, hardened: a thread is only for a request that is there, and nobody can hold one up.

As it comes, gunicorn reads a request in the thread that will answer it, so a few dozen clients that send nothing, or
a letter every minute, take all threads; and it waits for a client's good-bye in the loop that accepts all others.
Here that loop gathers the head of a request, and a small body, without waiting for anybody; larger bodies and
answers must move at a least speed; and good-byes are heard out beside everything else.
"""

import errno
import re
import socket
import ssl
import threading
import time
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from selectors import EVENT_READ
from typing import Any, Self
from wsgiref.types import WSGIApplication

from gunicorn import http
from gunicorn import sock as gunicorn_sockets
from gunicorn.http.body import ChunkedReader, LengthReader
from gunicorn.workers.gthread import ThreadWorker

from appliance.processes.tls import Certified

HEAD_S = 15.0
"""For the head of a request and a small body to be there, the TLS handshake included."""
GRACE_S = 20.0
"""How long a larger body may be late, …"""
SLOWEST = 4096
"""… on top of what it takes at so many bytes a second."""
SEND_S = 60.0
"""For the client to take what is sent in one go, at most a megabyte."""
PARTING_S = 2.0

_LONGEST_HEAD = 64 * 1024
_SMALL_BODY = 64 * 1024
_CHUNK = 64 * 1024
_SEND_BUFFER = 256 * 1024
"""Kept by the kernel for a client that is slow to read: most answers end before anybody has to wait."""

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*(?:\r\n|\Z)", re.IGNORECASE)
_EXPECTS = re.compile(rb"\r\nexpect:", re.IGNORECASE)
_WAITS = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Incoming(socket.socket):
    """A client's connection. What was gathered is read first; beyond it, reading and writing have their limits."""

    due = 0.0
    """When the head must be there."""
    _gathered = bytearray()
    _received = 0
    _waited = 0.0

    @classmethod
    def of(cls, accepted: socket.socket) -> Self:
        """The same connection, not blocking."""
        made = cls(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        return made

    def begin(self, rest: bytes) -> None:
        """A request begins, with what came behind the one before."""
        self._gathered = bytearray(rest)
        self._received, self._waited = 0, 0.0
        self.due = time.monotonic() + HEAD_S

    def gather(self) -> bool:
        """Take in what has come, without waiting; whether a thread may have the request now.

        Raises:
            OSError: the client has left, or there is no request to be had from it.
        """
        try:
            self._greet()
            while not self._is_whole():
                self._gathered += self._more()
        except _WAITS:
            return False
        return True

    def rest(self) -> bytes:
        """What came behind the request that was just answered."""
        rest, self._gathered = bytes(self._gathered), bytearray()
        return rest

    def drop(self) -> None:
        """Read and forget, without waiting. Raises OSError at the end."""
        self._gathered = bytearray()
        with suppress(*_WAITS):
            self._more()

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        if self._gathered:
            part = bytes(self._gathered[:buflen])
            del self._gathered[:buflen]
            return part
        if self.gettimeout() == 0:
            return super().recv(buflen, flags)
        return self._recv_within(buflen, GRACE_S + self._received / SLOWEST - self._waited)

    def sendall(self, data: Any, flags: int = 0) -> None:
        given = self.gettimeout()
        self.settimeout(SEND_S if given is None else given)
        try:
            super().sendall(data, flags)
        except TimeoutError:
            raise ConnectionResetError(errno.ECONNRESET, "reads too slowly") from None
        finally:
            self.settimeout(given)

    def _greet(self) -> None:
        """What comes before the first byte."""

    def _more(self) -> bytes:
        data = super().recv(_CHUNK)
        if not data:
            raise ConnectionResetError(errno.ECONNRESET, "has left")
        return data

    def _is_whole(self) -> bool:
        end = self._gathered.find(b"\r\n\r\n")
        if end < 0:
            if len(self._gathered) > _LONGEST_HEAD:
                raise ConnectionResetError(errno.ECONNRESET, "head too long")
            return False
        return len(self._gathered) - end - 4 >= _small_body(bytes(self._gathered[:end]))

    def _recv_within(self, size: int, left: float) -> bytes:
        given = self.gettimeout()
        began = time.monotonic()
        try:
            self.settimeout(max(left if given is None else min(left, given), 0.001))
            data = super().recv(size)
        except TimeoutError:
            if given is not None and given < left:
                raise
            raise ConnectionResetError(errno.ECONNRESET, "sends too slowly") from None
        finally:
            self.settimeout(given)
        self._waited += time.monotonic() - began
        self._received += len(data)
        return data


class TlsIncoming(Incoming, ssl.SSLSocket):
    """The same over TLS; made by `ssl.SSLContext.wrap_socket`."""

    _is_greeted = False

    def rest(self) -> bytes:
        held = super().rest()
        while self.pending():
            held += ssl.SSLSocket.recv(self, self.pending())
        return held

    def _greet(self) -> None:
        if not self._is_greeted:
            self.do_handshake()
            self._is_greeted = True


def _small_body(head: bytes) -> int:
    """Bytes that should be there before a thread takes the request: none of a large body, which is read as it comes."""
    found = _LENGTH.search(head)
    size = int(found.group(1)) if found and not _EXPECTS.search(head) else 0
    return size if size <= _SMALL_BODY else 0


def _closing(application: WSGIApplication) -> WSGIApplication:
    """Say "close" in an answer that comes before much of the request was read: the rest will not be waited for."""

    def wrapped(environ: dict[str, Any], start_response: Any) -> Any:
        def start(*values: Any) -> Any:
            if _is_unread(environ["wsgi.input"]):
                start_response.__self__.force_close()
            return start_response(*values)

        return application(environ, start)

    return wrapped


def _is_unread(body: Any) -> bool:
    if isinstance(body.reader, LengthReader):
        return bool(body.reader.length > _SMALL_BODY)
    return isinstance(body.reader, ChunkedReader) and body.reader.parser is not None


class PatientWorker(ThreadWorker):  # type: ignore[misc]
    """All methods but `handle` run in the one thread of the loop."""

    wsgi: WSGIApplication

    def init_process(self) -> None:
        self._parting: deque[Any] = deque()
        """Connections that were told good-bye, by the time until which they may answer it."""
        self._tls: Certified | None = None
        if self.cfg.is_ssl:
            self._tls = Certified(self._new_tls, [Path(self.cfg.certfile), Path(self.cfg.keyfile)])
        super().init_process()

    def _new_tls(self) -> ssl.SSLContext:
        context: ssl.SSLContext = gunicorn_sockets.ssl_context(self.cfg)
        context.sslsocket_class = TlsIncoming
        return context

    def load_wsgi(self) -> None:
        super().load_wsgi()
        self.wsgi = _closing(self.wsgi)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Told to end: let what is being written come to an end too. The process doesn't end before."""
        if self.alive:
            threading.Thread(target=self.app.begin_stop, name="stop").start()
        super().handle_exit(sig, frame)

    def enqueue_req(self, conn: Any) -> None:
        """A new connection, or one that sends its next request: gather it, and only then give it a thread."""
        try:
            if not isinstance(conn.sock, Incoming):
                conn.sock = self._taken_over(conn.sock)
                conn.parser = http.get_parser(self.cfg, conn.sock, conn.client)
            conn.sock.setblocking(False)
            conn.sock.begin(conn.parser.unreader.take_buffered())
            if conn.sock.gather():
                self._answer(conn)
                return
            conn.timeout = conn.sock.due
            self.poller.register(conn.sock, EVENT_READ, partial(self._on_more, conn))
            self.pending_conns.append(conn)
        except (OSError, ValueError):
            self._forget(conn)

    def finish_request(self, conn: Any, fs: Future[Any]) -> None:
        """A request was answered: the next one, or good-bye."""
        if fs.cancelled() or fs.exception() is not None or not fs.result():
            self._part(conn)
            return
        try:
            held = conn.parser.unreader.take_buffered() + conn.sock.rest()
            conn.parser.unreader.unread(held)
        except OSError:
            self._forget(conn)
            return
        super().finish_request(conn, fs)

    def murder_pending(self) -> None:
        """Close what is over its time, and on stopping all that has no request yet."""
        if not self.alive:
            for conn in self.pending_conns:
                conn.timeout = 0.0
        super().murder_pending()
        while self._parting and self._parting[0].timeout <= time.monotonic():
            self._end_parting(self._parting[0])

    def _taken_over(self, accepted: socket.socket) -> Incoming:
        plain = Incoming.of(accepted)
        if self._tls is None:
            return plain
        wrapped = self._tls.context().wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        assert isinstance(wrapped, TlsIncoming)
        return wrapped

    def _answer(self, conn: Any) -> None:
        conn.data_ready = True
        super().enqueue_req(conn)

    def _on_more(self, conn: Any, _connection: Any) -> None:
        try:
            is_whole: bool | None = conn.sock.gather()
        except OSError:
            is_whole = None
        if is_whole is False:
            return
        self.poller.unregister(conn.sock)
        self.pending_conns.remove(conn)
        if is_whole:
            self._answer(conn)
        else:
            self._forget(conn)

    def _part(self, conn: Any) -> None:
        """Say good-bye and hear the other side out: closed over unread bytes, it might lose the end of its answer."""
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
            self.poller.register(conn.sock, EVENT_READ, partial(self._on_parting, conn))
        except (OSError, ValueError, KeyError):
            self._forget(conn)
            return
        conn.timeout = time.monotonic() + PARTING_S
        self._parting.append(conn)

    def _on_parting(self, conn: Any, _connection: Any) -> None:
        try:
            conn.sock.drop()
        except OSError:
            self._end_parting(conn)

    def _end_parting(self, conn: Any) -> None:
        self._parting.remove(conn)
        self.poller.unregister(conn.sock)
        self._forget(conn)

    def _forget(self, conn: Any) -> None:
        self.nr_conns -= 1
        conn.close()
