"""The air gap as seen from this process: its own sockets of every kind. Networks with an outside: `tests/security`."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from appliance import clock
from appliance.machine.gap import GapWatch, family


@pytest.fixture
def child() -> Iterator[subprocess.Popen[str]]:
    """A process below this one that opens what it is told to, one socket a line."""
    script = (
        "import socket, sys\nheld = []\nfor line in sys.stdin:\n  held.append(eval(line)); print('done', flush=True)"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


def opens(child: subprocess.Popen[str], what: str) -> None:
    assert child.stdin
    assert child.stdout
    child.stdin.write(what + "\n")
    child.stdin.flush()
    assert child.stdout.readline() == "done\n"


def look() -> str:
    return GapWatch(os.getpid()).look().state


def test_a_door_and_its_visitors_are_no_way_out(child: subprocess.Popen[str]) -> None:
    opens(child, "socket.create_server(('127.0.0.1', 0))")
    with socket.create_server(("127.0.0.1", 0)) as door, socket.create_connection(door.getsockname()):
        assert look() == "closed"


def test_a_socket_that_can_send_to_anybody_is_a_way_out(child: subprocess.Popen[str]) -> None:
    opens(child, "(s := socket.socket(socket.AF_INET, socket.SOCK_DGRAM), s.bind(('127.0.0.1', 0)))")
    assert look() == "closed"
    opens(child, "(s := socket.socket(socket.AF_INET, socket.SOCK_DGRAM), s.bind(('0.0.0.0', 0)))")
    assert look() == "open"


def test_a_process_that_is_none_of_the_box_is_not_looked_at(child: subprocess.Popen[str]) -> None:
    opens(child, "(s := socket.socket(socket.AF_INET, socket.SOCK_DGRAM), s.bind(('0.0.0.0', 0)))")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        assert GapWatch(other.pid).look().state == "closed"
        assert other.stdin
        other.stdin.close()


def test_the_family_are_a_process_and_all_below_it(child: subprocess.Popen[str]) -> None:
    assert {os.getpid(), child.pid} <= family(os.getpid())
    assert os.getppid() not in family(os.getpid())


def test_it_looks_every_ten_seconds_at_most(child: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch) -> None:
    watch = GapWatch(os.getpid())
    first = watch.look()
    assert watch.look() is first
    later = clock.now() + 11
    monkeypatch.setattr(clock, "now", lambda: later)
    assert watch.look() is not first
