"""The supervisor's client against a supervisor that says what a test wants."""

import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.errors import (
    BusyError,
    CancelledError,
    HakoError,
    InferenceUnreachableError,
    ModelQuarantinedError,
)
from appliance.inference.client import InferenceClient, Lease
from appliance.inference.protocol import Lines

GRANTED = b'{"event":"granted","model":"talker","socket":"/run/x.sock","api_key":"k"}\n'

Say = Callable[..., InferenceClient]


@pytest.fixture
def say() -> Iterator[Say]:
    """`say(*packets)`: a supervisor that reads a request and sends these, each in one go; it hangs up at the end."""
    with tempfile.TemporaryDirectory(prefix="hako-") as folder, socket.socket(socket.AF_UNIX) as listener:
        path = Path(folder, "s.sock")
        listener.bind(str(path))
        listener.listen()
        threads: list[threading.Thread] = []

        def start(*packets: bytes, hold: bool = False) -> InferenceClient:
            def serve() -> None:
                with listener.accept()[0] as connection:
                    Lines(connection).receive()
                    for packet in packets:
                        connection.sendall(packet)
                    if hold:
                        connection.recv(1)

            threads.append(threading.Thread(target=serve))
            threads[-1].start()
            return InferenceClient(path)

        yield start
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()


def test_a_lease_is_held_until_it_is_closed(say: Say) -> None:
    with say(GRANTED, hold=True).lease("talker") as lease:
        assert (lease.socket, lease.api_key) == (Path("/run/x.sock"), "k")
    assert "api_key" not in repr(lease)


def test_what_is_written_is_told_at_once_then_now_and_then_and_at_the_end() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.settimeout(20)
        lease = Lease("talker", Path("/run/x.sock"), "k", ours)
        for _ in range(5):
            lease.wrote(3)
        assert theirs.recv(1000) == b'{"wrote":3}\n'
        lease.close()
        assert theirs.recv(1000) == b'{"wrote":12}\n'
        assert theirs.recv(1000) == b""
        lease.close()


def test_a_supervisor_that_hears_nothing_more_holds_up_no_answer() -> None:
    ours, theirs = socket.socketpair()
    lease = Lease("talker", Path("/run/x.sock"), "k", ours)
    theirs.close()
    lease.wrote(1)
    lease.wrote(1)
    lease.close()


def test_waiting_is_told_as_it_changes(say: Say) -> None:
    told: list[tuple[str, int, float | None]] = []
    packets = [b'{"event":"loading","position":2}\n', b'{"event":"queued","position":1,"wait_s":2.5}\n', GRANTED]
    say(*packets, hold=True).lease("talker", waits=lambda *now: told.append(now)).close()
    assert told == [("loading", 2, None), ("queued", 1, 2.5)]


def test_two_messages_in_one_packet_are_both_heard(say: Say) -> None:
    told: list[tuple[str, int, float | None]] = []
    packet = b'{"event":"loading","position":1}\n' + GRANTED
    client = say(packet, hold=True)
    client.lease("talker", timeout=20, waits=lambda *now: told.append(now)).close()
    assert told == [("loading", 1, None)]


def test_an_error_arrives_as_what_it_was(say: Say) -> None:
    with pytest.raises(ModelQuarantinedError) as caught:
        say(b'{"event":"error","code":"HK-MOD-004","params":{"name":"talker"}}\n').lease("talker")
    assert caught.value.params == {"name": "talker"}
    with pytest.raises(HakoError) as unknown:
        say(b'{"event":"error","code":"HK-NEW-999","params":{}}\n').lease("talker")
    assert unknown.value.code == "HK-BOX-001"


def test_a_supervisor_that_hangs_up_is_unreachable(say: Say) -> None:
    for packets in ([], [b'{"event":"queued","position":1}\n'], [b'{"ev']):
        with pytest.raises(InferenceUnreachableError):
            say(*packets).lease("talker")


def test_no_supervisor_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(InferenceUnreachableError):
        InferenceClient(tmp_path / "none.sock").status()


def test_a_stop_leaves_the_queue(say: Say) -> None:
    with pytest.raises(CancelledError):
        say(b'{"event":"queued","position":1}\n', hold=True).lease("talker", stopped=lambda: True)


def test_waiting_has_an_end(say: Say) -> None:
    with pytest.raises(BusyError):
        say(b'{"event":"queued","position":1}\n', hold=True).lease("talker", timeout=0.2)


def test_status_is_by_model(say: Say) -> None:
    client = say(b'{"event":"done","models":[{"id":"talker","state":"loaded"}]}\n')
    assert client.status() == {"talker": {"id": "talker", "state": "loaded"}}
