"""The web process's server against slow, silent, rude and many clients, over plain connections and over TLS."""

import contextlib
import datetime as dt
import json
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.image.box import alive
from tests.simulators.certificates import certificate as signed
from tests.simulators.certificates import new_key, pem_of
from tests.simulators.waiting import eventually

THREADS = 4
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
OK = b"HTTP/1.1 200 OK"


class Server:
    """A small application behind the real server."""

    def __init__(self, tls: Path | None = None, **patience: float) -> None:
        self._tls = tls
        self._folder = tempfile.TemporaryDirectory(prefix="hako-")
        self.data = Path(self._folder.name)
        (self.data / alive.SOCKET).parent.mkdir()
        settings = {
            "threads": THREADS, "patience": patience, "tls": str(tls) if tls else None,
            "socket": str(self.data / alive.SOCKET),
        }  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.simulators.small_server", json.dumps(settings)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        self.port = int(self.process.stdout.readline())
        self._open: list[socket.socket] = []

    def connect(self, *, greet: bool = True) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        self._open.append(connection)
        if self._tls is None or not greet:
            return connection
        context = ssl.create_default_context(cafile=str(self._tls / "cert.pem"))
        wrapped = context.wrap_socket(connection, server_hostname="localhost")
        self._open.append(wrapped)
        return wrapped

    def ask(self, request: bytes = GET) -> bytes:
        """One request on a connection of its own; the answer."""
        connection = self.connect()
        connection.sendall(request)
        return answer(connection)

    def close(self) -> None:
        for connection in self._open:
            connection.close()
        self.process.terminate()
        self.process.wait(20)
        assert self.process.stdout
        self.process.stdout.close()
        self._folder.cleanup()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost, signed by itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder


@pytest.fixture(params=["plain", "tls"])
def server(request: pytest.FixtureRequest, certificate: Path) -> Iterator[Server]:
    """As it really is: a client may take its time, and nobody has to wait for it."""
    running = Server(certificate if request.param == "tls" else None)
    yield running
    running.close()


@pytest.fixture
def hasty() -> Iterator[Server]:
    """Loses patience within half a second."""
    running = Server(HEAD_S=0.5, GRACE_S=0.5, SEND_S=0.5, PARTING_S=0.3)
    yield running
    running.close()


def answer(connection: socket.socket) -> bytes:
    """One whole answer."""
    seen = b""
    while b"\r\n\r\n" not in seen:
        part = connection.recv(1)
        assert part, seen
        seen += part
    length = re.search(rb"Content-Length: (\d+)", seen)
    missing = int(length.group(1)) if length else 0
    while missing:
        part = connection.recv(missing)
        assert part, seen
        seen += part
        missing -= len(part)
    return seen


def ended(connection: socket.socket) -> bool:
    """Whether the server closes it, whatever it says before."""
    with contextlib.suppress(ConnectionError):
        while connection.recv(65536):
            pass
    return True


# -- nobody has to wait for them


def test_who_asks_whether_it_is_alive_hears_it_at_once(server: Server) -> None:
    began = time.monotonic()
    assert alive.answers(server.data)
    assert time.monotonic() - began < 10  # fifteen seconds where a greeting was waited for as if it were words
    server.process.terminate()
    server.process.wait(20)
    with pytest.raises(OSError, match=r"No such file|refused"):
        alive.answers(server.data)


def test_silent_clients_take_no_thread(server: Server) -> None:
    for _ in range(3 * THREADS):
        server.connect(greet=False)
    assert server.ask().startswith(OK)


def test_clients_that_send_half_a_head_take_no_thread(server: Server) -> None:
    for _ in range(3 * THREADS):
        server.connect().sendall(GET[:-3])
    assert server.ask().startswith(OK)


def test_clients_that_send_half_a_small_body_take_no_thread(server: Server) -> None:
    for _ in range(3 * THREADS):
        server.connect().sendall(b"POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf")
    assert server.ask().startswith(OK)


def test_clients_that_greet_by_halves_take_no_thread(certificate: Path) -> None:
    server = Server(certificate)
    try:
        for _ in range(3 * THREADS):
            server.connect(greet=False).sendall(b"\x16\x03\x01\x02\x00\x01")
        assert server.ask().startswith(OK)
    finally:
        server.close()


def test_a_certificate_that_is_replaced_serves_from_the_next_connection_on(tmp_path: Path) -> None:
    since = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    keys = [new_key(), new_key()]
    chains = [signed(key, "localhost", since=since) for key in keys]

    def put(name: str, content: str) -> None:
        (tmp_path / "new").write_text(content)
        (tmp_path / "new").rename(tmp_path / name)

    put("key.pem", pem_of(keys[0]))
    put("cert.pem", chains[0])
    running = Server(tmp_path)
    try:
        served = [ssl.get_server_certificate(("127.0.0.1", running.port))]
        put("key.pem", pem_of(keys[1]))
        served.append(ssl.get_server_certificate(("127.0.0.1", running.port)))  # the new key doesn't fit yet
        put("cert.pem", chains[1])
        assert running.ask().startswith(OK)
        served.append(ssl.get_server_certificate(("127.0.0.1", running.port)))
    finally:
        running.close()
    assert served == [chains[0], chains[0], chains[1]]


def test_clients_that_never_say_good_bye_hold_up_nobody(server: Server) -> None:
    for _ in range(20):  # two seconds each, if they were heard out one after the other
        server.connect().sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert server.ask().startswith(OK)


def test_clients_that_do_not_read_a_page_take_no_thread(server: Server) -> None:
    for _ in range(3 * THREADS):
        server.connect().sendall(GET * 50)
    assert server.ask().startswith(OK)


# -- what they send arrives


def test_requests_behind_each_other_on_one_connection_are_all_answered(server: Server) -> None:
    connection = server.connect()
    connection.sendall(GET * 5 + GET[:10])
    assert all(answer(connection).startswith(OK) for _ in range(5))
    connection.sendall(GET[10:])
    assert answer(connection).startswith(OK)


def test_a_request_in_pieces_is_one_request(server: Server) -> None:
    connection = server.connect()
    request = b"POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30\r\n\r\n" + b"x" * 30
    for start in range(0, len(request), 7):
        connection.sendall(request[start : start + 7])
        time.sleep(0.01)
    assert answer(connection).endswith(b"\r\n\r\n30")


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 3_000_000])
def test_a_body_of_any_size_arrives_whole(server: Server, size: int) -> None:
    connection = server.connect()
    head = b"POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size
    connection.sendall(head + b"x" * size)
    assert answer(connection).endswith(b"\r\n\r\n%d" % size)
    connection.sendall(GET)
    assert answer(connection).startswith(OK)


def test_a_chunked_body_and_one_that_waits_to_be_asked_arrive(server: Server) -> None:
    chunked = b"POST /read HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert server.ask(chunked + b"5\r\nhello\r\n0\r\n\r\n").endswith(b"\r\n\r\n5")
    connection = server.connect()
    connection.sendall(b"POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert answer(connection).startswith(b"HTTP/1.1 100 Continue")
    connection.sendall(b"hello")
    assert answer(connection).endswith(b"\r\n\r\n5")


def test_a_large_answer_arrives_whole(server: Server) -> None:
    connection = server.connect()
    connection.sendall(GET.replace(b"/ ", b"/large ", 1).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    seen = b""
    while part := connection.recv(1 << 20):
        seen += part
    assert len(seen.split(b"\r\n\r\n", 1)[1]) == 16 << 20


@pytest.mark.parametrize("length", [b"Content-Length: 3000000", b"Transfer-Encoding: chunked"])
def test_an_answer_that_comes_before_a_large_body_was_read_says_that_it_is_the_last(
    server: Server, length: bytes
) -> None:
    connection = server.connect()
    connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n" % length)
    said = answer(connection)
    assert said.startswith(OK)
    assert b"\r\nConnection: close\r\n" in said
    assert ended(connection)


def test_a_small_body_that_nobody_reads_does_not_end_the_connection(server: Server) -> None:
    connection = server.connect()
    connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello" + GET)
    assert [answer(connection).startswith(OK) for _ in range(2)] == [True, True]


# -- what is no request


@pytest.mark.parametrize(
    "request_",
    [
        b"\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: +5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length : 5\r\n\r\nhello",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nA: b\r\n c\r\n\r\n",
        b"GET / HTTP/1.1\nHost: localhost\n\n" + b"\r\n\r\n",
        b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"x" * 70_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
def test_what_is_no_proper_request_is_refused_and_closed(hasty: Server, request_: bytes) -> None:
    connection = hasty.connect()
    connection.sendall(request_)
    seen = b""
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65536):
            seen += part
    assert not seen or b" 200 " not in seen
    assert seen.count(b"HTTP/1.1 ") <= 1  # no second request was smuggled in
    assert hasty.ask().startswith(OK)


# -- patience ends


@pytest.mark.parametrize(
    "begun",
    [b"", GET[:-2], b"POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx"],
    ids=["nothing", "half a head", "half a small body"],
)
def test_who_does_not_send_in_time_is_closed(hasty: Server, begun: bytes) -> None:
    connection = hasty.connect()
    connection.sendall(begun)
    assert ended(connection)


def test_a_large_body_that_trickles_is_cut_and_its_thread_is_free_again(hasty: Server) -> None:
    head = b"POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
    slow = [hasty.connect() for _ in range(THREADS)]
    for connection in slow:
        connection.sendall(head + b"x" * 100)
    assert hasty.ask().startswith(OK)  # after they were cut
    assert all(ended(connection) for connection in slow)


def test_who_does_not_read_a_large_answer_is_cut_and_its_thread_is_free_again(hasty: Server) -> None:
    for _ in range(THREADS):
        hasty.connect().sendall(GET.replace(b"/ ", b"/large ", 1))
    assert hasty.ask().startswith(OK)


# -- the end


@pytest.mark.parametrize("kind", ["plain", "tls"])
def test_told_to_end_it_lets_streams_come_to_their_end(kind: str, certificate: Path) -> None:
    server = Server(certificate if kind == "tls" else None)
    try:
        streams = [server.connect() for _ in range(THREADS)]
        for connection in streams:
            connection.sendall(GET.replace(b"/ ", b"/stream ", 1))
            assert connection.recv(10).startswith(b"HTTP/1.1")
        server.connect(greet=False)  # a silent one doesn't hold it up
        server.process.send_signal(signal.SIGTERM)
        for connection in streams:
            seen = b""
            while part := connection.recv(65536):
                seen += part
            assert b"end" in seen
            assert seen.endswith(b"0\r\n\r\n")
        assert eventually(lambda: server.process.poll() is not None)
        assert server.process.returncode == 0
    finally:
        server.close()
