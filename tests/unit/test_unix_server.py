"""A process's unix socket: who is let in, how many at once, and what it leaves behind."""

import multiprocessing
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from appliance.errors import ConflictError
from appliance.unix_server import UnixServer
from tests.simulators import nursery


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hako-") as folder:
        yield Path(folder, "run", "own.sock")


def echo(connection: socket.socket) -> None:
    with connection:
        connection.sendall(connection.recv(100))


def anybody(_connection: socket.socket) -> bool:
    return True


def serving(path: Path, told: Connection) -> None:
    UnixServer(path, echo, anybody, 4).start()
    told.send("serving")
    threading.Event().wait(60)


def asked(path: Path, text: bytes = b"hello") -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        connection.sendall(text)
        return connection.recv(100)


@pytest.fixture
def started(path: Path) -> Iterator[Callable[..., UnixServer]]:
    servers: list[UnixServer] = []

    def start(serve: Callable[[socket.socket], None] = echo, places: int = 4) -> UnixServer:
        server = UnixServer(path, serve, anybody, places)
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.stop()


def test_it_answers_on_a_socket_of_its_owner_alone(path: Path, started: Callable[..., UnixServer]) -> None:
    server = started()
    assert asked(path) == b"hello"
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    server.stop()
    assert not path.exists()
    with pytest.raises(FileNotFoundError):
        asked(path)


def test_who_is_not_allowed_gets_nothing_and_does_no_harm(path: Path) -> None:
    verdicts = iter([False, True])
    server = UnixServer(path, echo, lambda _connection: next(verdicts), 4)
    server.start()
    try:
        try:
            answer = asked(path)
        except ConnectionError:  # closed before it could write
            answer = b""
        assert answer == b""
        assert asked(path) == b"hello"
    finally:
        server.stop()


def test_more_than_its_places_wait_for_their_turn(path: Path, started: Callable[..., UnixServer]) -> None:
    most, now, lock, go = [0], [0], threading.Lock(), threading.Event()
    full = threading.Event()

    def slow(connection: socket.socket) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
            if now[0] == 2:
                full.set()
        go.wait(10)
        with lock:
            now[0] -= 1
        echo(connection)

    started(slow, places=2)
    answers: list[bytes] = []
    threads = [threading.Thread(target=lambda: answers.append(asked(path))) for _ in range(5)]
    for thread in threads:
        thread.start()
    assert full.wait(10)
    go.set()
    for thread in threads:
        thread.join()
    assert (answers, most[0] <= 2) == ([b"hello"] * 5, True)


def test_a_connection_that_ends_badly_gives_its_place_back(
    path: Path, started: Callable[..., UnixServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    crashes: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: crashes.append(args.exc_type.__name__))

    def fragile(connection: socket.socket) -> None:
        with connection:
            text = connection.recv(100)
            if text == b"crash":
                raise ValueError
            connection.sendall(text)

    started(fragile, places=1)
    assert asked(path, b"crash") == b""
    assert asked(path) == b"hello"
    assert crashes == ["ValueError"]


def test_a_second_one_is_refused_and_harms_nothing(path: Path, started: Callable[..., UnixServer]) -> None:
    started()
    second = UnixServer(path, echo, anybody, 4)
    with pytest.raises(ConflictError):
        second.start()
    second.stop()
    assert asked(path) == b"hello"


def test_a_shut_one_lets_nobody_in_and_still_holds_its_place(path: Path, started: Callable[..., UnixServer]) -> None:
    first = started()
    first.shut()
    with pytest.raises(OSError, match="refused"):
        asked(path)
    second = UnixServer(path, echo, anybody, 4)
    with pytest.raises(ConflictError):
        second.hold()
    second.stop()
    first.stop()
    started()
    assert asked(path) == b"hello"


def test_the_lock_of_a_process_that_was_killed_does_not_count(path: Path, started: Callable[..., UnixServer]) -> None:
    reading, writing = multiprocessing.Pipe(duplex=False)
    child = nursery.start(serving, path, writing)
    assert reading.recv() == "serving"
    child.kill()
    assert nursery.ended(child) == -signal.SIGKILL
    assert path.exists()
    started()
    assert asked(path) == b"hello"
