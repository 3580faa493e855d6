"""Whether a client has left, as several threads ask it at once of real sockets."""

import socket
import threading
from collections.abc import Iterator

import pytest

from webui import connection


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_client_that_has_left_is_noticed_and_nothing_is_read(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    left = connection.watcher({"gunicorn.socket": ours})
    theirs.sendall(b"more")
    assert not left()
    theirs.close()
    assert left()
    assert ours.recv(10) == b"more"


def test_what_ends_an_answer_counts_as_leaving(pair: tuple[socket.socket, socket.socket]) -> None:
    environ: dict[str, object] = {"gunicorn.socket": pair[0]}
    over = threading.Event()
    connection.ends_with(environ, over.is_set)
    left, without = connection.watcher(environ), connection.watcher({"hako.ended": over.is_set})
    assert (left(), without()) == (False, False)
    over.set()
    assert (left(), without()) == (True, True)


def test_several_threads_may_ask_at_once(pair: tuple[socket.socket, socket.socket]) -> None:
    left = connection.watcher({"gunicorn.socket": pair[0]})
    failed: list[RuntimeError] = []
    begin = threading.Barrier(4)

    def ask() -> None:
        try:
            begin.wait()
            for _ in range(20_000):
                assert not left()
        except RuntimeError as error:
            failed.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("10.0.0.5", "10.0.0.5"),
        ("::ffff:10.0.0.5", "10.0.0.5"),
        ("fd12::1:2:3:4", "fd12::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
    ],
)
def test_guesses_count_for_an_address_or_a_whole_network_of_ipv6(address: str, counted: str) -> None:
    assert connection.asker({"REMOTE_ADDR": address}) == counted


def test_the_admin_socket_is_a_door_of_its_own(pair: tuple[socket.socket, socket.socket]) -> None:
    assert connection.asker({"gunicorn.socket": pair[0], "REMOTE_ADDR": "10.0.0.5"}) == ""
