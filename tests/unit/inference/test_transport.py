"""The connection to a child: stopping and cutting at any moment, and children that die."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import CancelledError, ModelFailedError
from appliance.inference.transport import ChildConnection
from tests.unit.inference.conftest import KEY, Parrot


def begin(connection: ChildConnection, text: str, pause: float = 0.0, stopped: Any = None) -> Iterator[bytes]:
    body = {"messages": [{"content": text}], "stream": True, "pause": pause}
    connection.send("/v1/chat/completions", body)
    connection.begin(stopped)
    return connection.chunks(stopped)


def test_a_stop_reaches_an_engine_that_never_keeps_us_waiting(connection: ChildConnection, parrot: Parrot) -> None:
    stop = threading.Event()
    chunks = begin(connection, "w " * 49, pause=0.02, stopped=stop.is_set)
    next(chunks)
    stop.set()
    with pytest.raises(CancelledError):
        list(chunks)
    assert parrot.stopped.wait(20)
    assert parrot.said < 40


def test_a_stop_reaches_an_engine_that_is_silent(connection: ChildConnection) -> None:
    stop = threading.Event()
    chunks = begin(connection, "w " * 49, pause=30.0, stopped=stop.is_set)
    next(chunks)
    threading.Timer(0.3, stop.set).start()
    with pytest.raises(CancelledError):
        list(chunks)


def test_a_cut_from_another_thread_ends_the_answer(connection: ChildConnection) -> None:
    chunks = begin(connection, "w " * 49, pause=30.0)
    next(chunks)
    threading.Timer(0.1, connection.cut).start()
    with pytest.raises(CancelledError):
        list(chunks)


@contextmanager
def answering(path: Path, answer: bytes) -> Iterator[ChildConnection]:
    """A child that reads a request, says `answer` and is gone."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        with listener, listener.accept()[0] as connection:
            connection.recv(65536)
            connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    with ChildConnection(path, KEY, "gone") as connection:
        yield connection
    thread.join(20)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Len",
        b"not http at all\r\n\r\n",
        HEAD,
        HEAD + b"5\r\nhello\r\n",
        HEAD + b"5\r\nhel",
        HEAD + b"zz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops",
    ],
)
def test_a_child_that_dies_at_any_point_is_a_failed_model(path: Path, answer: bytes) -> None:
    with answering(path.with_name("g.sock"), answer) as connection, pytest.raises(ModelFailedError) as caught:
        connection.json("/tokenize", {"texts": []})
    assert caught.value.params == {"name": "gone"}


def test_a_child_that_is_not_there_is_a_failed_model(path: Path) -> None:
    with pytest.raises(ModelFailedError):
        ChildConnection(path.with_name("none.sock"), KEY, "gone")


def test_chunks_pass_unchanged(path: Path) -> None:
    answer = HEAD + b"6\r\ndata: \r\n3\r\n\xe7\xae\xb1\r\n0\r\n\r\n"
    with answering(path.with_name("g.sock"), answer) as connection:
        connection.send("/v1/chat/completions", {})
        connection.begin()
        assert b"".join(connection.chunks()) == b"data: " + "箱".encode()


def test_a_stop_before_the_answer_begins_is_heard(path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    silent = path.with_name("q.sock")
    listener.bind(str(silent))
    listener.listen()
    calls = iter([False, False, True])
    stopped: Callable[[], bool] = lambda: next(calls)  # noqa: E731 - shorter than a function
    with listener, ChildConnection(silent, KEY, "silent") as connection:
        connection.send("/tokenize", {"texts": []})
        with pytest.raises(CancelledError):
            connection.begin(stopped)
