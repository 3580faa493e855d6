"""Lines of JSON on a socket: cut, joined, too long, not JSON."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from appliance.errors import BadInputError
from appliance.inference.protocol import LONGEST_LINE, Lines, send


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    left, right = socket.socketpair()
    with left, right:
        yield left, right


Pair = tuple[socket.socket, socket.socket]


def test_messages_arrive_in_order_with_any_characters(pair: Pair) -> None:
    left, right = pair
    send(left, {"op": "lease", "model": "改行\n"})
    send(left, {"op": "status"})
    lines = Lines(right)
    assert lines.receive() == {"op": "lease", "model": "改行\n"}
    assert lines.pending
    assert lines.receive() == {"op": "status"}
    assert not lines.pending


def test_a_message_in_pieces_is_put_together(pair: Pair) -> None:
    left, right = pair
    right.settimeout(0.01)
    lines = Lines(right)
    left.sendall(b'{"a"')
    with pytest.raises(TimeoutError):
        lines.receive()
    left.sendall(b': 1}\n{"b"')
    assert lines.receive() == {"a": 1}
    assert not lines.pending


def test_the_end_of_the_connection_is_none_also_in_the_middle_of_a_message(pair: Pair) -> None:
    left, right = pair
    left.sendall(b'{"half":')
    left.close()
    assert Lines(right).receive() is None


@pytest.mark.parametrize("line", [b"\n", b"not json\n", b"[1]\n", b"null\n", b"\xff\xfe\n"])
def test_what_is_no_object_is_refused(pair: Pair, line: bytes) -> None:
    left, right = pair
    left.sendall(line)
    with pytest.raises(BadInputError):
        Lines(right).receive()


def test_a_line_without_end_is_refused(pair: Pair) -> None:
    left, right = pair

    def flood() -> None:
        with contextlib.suppress(OSError):  # the reader leaves in the middle
            left.sendall(b"x" * 2 * LONGEST_LINE)

    flooder = threading.Thread(target=flood)
    flooder.start()
    with pytest.raises(BadInputError):
        Lines(right).receive()
    right.close()
    flooder.join(20)
    assert not flooder.is_alive()
