"""What a process says of itself: ready once, and that it is well only while it is."""

import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import clock
from appliance.processes import activation
from appliance.processes.notify import Notifier, Pulse


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with tempfile.TemporaryDirectory(prefix="hako-") as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(Path(folder, "notify")))
        end.settimeout(10)
        yield end


def environment(end: socket.socket, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": end.getsockname(), **more}


def test_ready_is_one_datagram_and_its_children_do_not_inherit_the_socket(listening: socket.socket) -> None:
    given = environment(listening, WATCHDOG_USEC="200000", PATH="/bin")
    Notifier.taken(given).ready()
    assert listening.recv(64) == b"READY=1"
    assert given == {"PATH": "/bin"}


def test_an_abstract_socket_is_spoken_to_as_well() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(f"\0hako-test-{os.getpid()}")
        end.settimeout(10)
        Notifier(f"@hako-test-{os.getpid()}").ready()
        assert end.recv(64) == b"READY=1"


def test_where_nobody_listens_nothing_is_said_and_nothing_fails(tmp_path: Path) -> None:
    Notifier().ready()
    Notifier(str(tmp_path / "gone")).ready()
    Notifier("", 1.0).watch(lambda: pytest.fail("nobody asked"))


def test_the_dog_is_fed_while_the_process_is_well_and_no_longer(listening: socket.socket) -> None:
    well, looked = threading.Event(), threading.Event()
    well.set()

    def is_alive() -> bool:
        if not well.is_set():
            looked.set()
        return well.is_set()

    notifier = Notifier.taken(environment(listening, WATCHDOG_USEC="40000"))
    notifier.watch(is_alive)
    assert [listening.recv(64), listening.recv(64)] == [b"WATCHDOG=1"] * 2
    well.clear()
    assert looked.wait(10)
    listening.settimeout(0.1)
    for _ in range(20):  # what was underway
        try:
            listening.recv(64)
        except TimeoutError:
            break
    else:
        pytest.fail("it is still fed")
    notifier.close()


def test_a_look_that_crashes_is_no_sign_of_life(listening: socket.socket) -> None:
    looked = threading.Event()

    def crash() -> bool:
        looked.set()
        raise ValueError

    notifier = Notifier.taken(environment(listening, WATCHDOG_USEC="40000"))
    notifier.watch(crash)
    assert looked.wait(10)
    listening.settimeout(0.1)
    with pytest.raises(TimeoutError):
        listening.recv(64)
    notifier.close()


@pytest.mark.parametrize("more", [{}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "40000", "WATCHDOG_PID": "1"}])
def test_without_a_dog_or_with_anothers_nobody_asks_how_it_is(listening: socket.socket, more: dict[str, str]) -> None:
    asked = threading.Event()
    Notifier.taken(environment(listening, **more)).watch(lambda: not asked.set())
    assert not asked.wait(0.1)


def test_one_loop_that_stands_still_stops_the_pulse(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    pulse = Pulse(10.0)
    assert pulse.is_alive()
    pulse.beat("documents")
    pulse.beat("clock")
    now[0] += 9
    pulse.beat("clock")
    assert pulse.is_alive()
    now[0] += 2
    assert not pulse.is_alive()
    pulse.beat("documents")
    assert pulse.is_alive()


@pytest.mark.parametrize(
    "given", [{}, {"LISTEN_FDS": "1"}, {"LISTEN_FDS": "1", "LISTEN_PID": "1"}, {"LISTEN_FDS": "x", "LISTEN_PID": "me"}]
)
def test_sockets_that_are_not_meant_for_this_process_are_left_alone(given: dict[str, str]) -> None:
    given = {name: str(os.getpid()) if value == "me" else value for name, value in given.items()}
    assert activation.taken(given) == []
    assert given == {}


def test_a_unix_socket_beside_has_its_mode_from_the_start(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="hako-") as folder:
        path = Path(folder, "own.sock")
        path.write_text("left by somebody")
        with activation.unix(path, 0o600):
            assert path.is_socket()
            assert path.stat().st_mode & 0o777 == 0o600
