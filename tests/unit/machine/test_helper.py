"""The helper: each errand by systemd's own tools, and everything else refused, whoever asks and however."""

import contextlib
import json
import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from appliance.errors import (
    BundleSignatureError,
    HelperFailedError,
    HelperRefusedError,
    HelperUnreachableError,
)
from appliance.machine import helper_shapes as shapes
from appliance.machine.helper import Helper
from appliance.machine.helper_client import HelperClient
from appliance.machine.helper_server import HelperServer

DIGEST = "a" * 64


class Releases:
    """Installs nothing, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[Path, tuple[str, ...], str]] = []
        self.wanted = {DIGEST}

    def install(self, folder: Path, below: tuple[str, ...], digest: str) -> str:
        self.asked.append((folder, below, digest))
        if digest != DIGEST:
            raise BundleSignatureError
        return "0.2.0"

    def is_wanted(self, digest: str) -> bool:
        return digest in self.wanted


class Machine:
    """A folder that stands for the machine, with a stick and a disk; commands are only noted."""

    def __init__(self, root: Path) -> None:
        self.root, self.ran, self.releases = root, [], Releases()  # type: ignore[var-annotated]
        self.failing: Exception | None = None
        self.mounted = {root / "run/hako/media/sdb1"}
        block = root / "sys/class/block"
        block.mkdir(parents=True)
        for name, place in (("sdb1", "pci0/usb2/2-1/block/sdb/sdb1"), ("sda1", "pci0/ata1/block/sda/sda1")):
            (root / "sys/devices" / place).mkdir(parents=True)
            (block / name).symlink_to(root / "sys/devices" / place)
        self.helper = Helper(self.releases, root, self._run, self.mounted.__contains__)

    def _run(self, command: Sequence[str]) -> None:
        self.ran.append(list(command))
        if self.failing:
            raise self.failing

    def ask(self, **message: Any) -> dict[str, Any]:
        return self.helper.act(shapes.parsed(message))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize(
    ("message", "commands"),
    [
        ({"verb": "reboot"}, [["systemctl", "--no-block", "reboot"]]),
        ({"verb": "power-off"}, [["systemctl", "--no-block", "poweroff"]]),
        ({"verb": "mount", "partition": "sdb1"}, [["systemctl", "start", "hako-usb@sdb1.service"]]),
        ({"verb": "unmount", "partition": "sdb1"}, [["systemctl", "stop", "hako-usb@sdb1.service"]]),
        ({"verb": "restart", "digest": DIGEST}, [["systemctl", "--no-block", "restart", "hako.target"]]),
    ],
)
def test_an_errand_is_a_few_words_to_systemd(
    machine: Machine, message: dict[str, Any], commands: list[list[str]]
) -> None:
    machine.ask(**message)
    assert machine.ran == commands


def test_a_stick_is_mounted_where_web_looks_for_it(machine: Machine) -> None:
    assert machine.ask(verb="mount", partition="sdb1") == {"folder": "/run/hako/media/sdb1"}


def test_a_release_is_installed_from_the_stick_that_is_mounted(machine: Machine) -> None:
    said = machine.ask(verb="install", partition="sdb1", below=["hako", "2027"], digest=DIGEST)
    assert said == {"version": "0.2.0"}
    assert machine.releases.asked == [(machine.root / "run/hako/media/sdb1", ("hako", "2027"), DIGEST)]
    with pytest.raises(BundleSignatureError):
        machine.ask(verb="install", partition="sdb1", digest="b" * 64)
    machine.mounted.clear()
    with pytest.raises(HelperRefusedError):
        machine.ask(verb="install", partition="sdb1", digest=DIGEST)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"verb": "mount", "partition": "sda1"}, "medium"),
        ({"verb": "mount", "partition": "sdc"}, "medium"),
        ({"verb": "install", "partition": "sda1", "digest": DIGEST}, "medium"),
        ({"verb": "restart", "digest": "b" * 64}, "release"),
    ],
)
def test_what_this_machine_does_not_have_is_refused(machine: Machine, message: dict[str, Any], reason: str) -> None:
    with pytest.raises(HelperRefusedError) as seen:
        machine.ask(**message)
    assert (seen.value.params, machine.ran) == ({"reason": reason}, [])


@pytest.mark.parametrize(
    "message",
    [
        {"verb": "reboot", "now": True},
        {"verb": "mount", "partition": "sdb1.service; reboot"},
        {"verb": "mount", "partition": "../sdb1"},
        {"verb": "mount", "partition": "nvme0n1p1"},
        {"verb": "mount", "partition": "sdb1\n"},
        {"verb": "unmount", "partition": ["sdb1"]},
        {"verb": "install", "partition": "sdb1", "digest": "A" * 64},
        {"verb": "install", "partition": "sdb1", "digest": DIGEST, "below": [".."]},
        {"verb": "install", "partition": "sdb1", "digest": DIGEST, "below": ["a/b"]},
        {"verb": "install", "partition": "sdb1", "digest": DIGEST, "below": ["a"] * 4},
        {"verb": "restart", "digest": ""},
    ],
)
def test_what_is_not_in_shape_is_refused_and_nothing_runs(machine: Machine, message: dict[str, Any]) -> None:
    with pytest.raises(HelperRefusedError) as seen:
        machine.ask(**message)
    assert (seen.value.params, machine.ran) == ({"reason": "shape"}, [])


@pytest.mark.parametrize("verb", ["", "Reboot", "reboot ", "shell", None, 7, ["reboot"], {"verb": "reboot"}])
def test_what_is_not_on_the_list_is_refused(machine: Machine, verb: object) -> None:
    with pytest.raises(HelperRefusedError) as seen:
        machine.ask(verb=verb)
    assert seen.value.params == {"reason": "verb"}


@pytest.mark.parametrize(
    "failing",
    [subprocess.CalledProcessError(1, "x", stderr=b"no"), subprocess.TimeoutExpired("x", 1), FileNotFoundError("x")],
)
def test_what_the_machine_refuses_is_said_so(machine: Machine, failing: Exception) -> None:
    machine.failing = failing
    with pytest.raises(HelperFailedError) as seen:
        machine.ask(verb="mount", partition="sdb1")
    assert seen.value.params == {"verb": "mount"}


# -- over the socket


@pytest.fixture
def served(machine: Machine) -> Iterator[Callable[[int], Path]]:
    """Start a server for one account, which ends a second after the last request; its socket."""
    with tempfile.TemporaryDirectory(prefix="hako-") as folder, socket.socket(socket.AF_UNIX) as listening:
        path = Path(folder, "helper.sock")
        threads: list[threading.Thread] = []

        def start(uid: int) -> Path:
            listening.bind(str(path))
            listening.listen()
            server = HelperServer(listening, machine.helper, uid, patience_s=0.3)
            threads.append(threading.Thread(target=server.serve, args=(1.0,)))
            threads[0].start()
            return path

        yield start
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()


def told(machine: Machine, content: bytes) -> dict[str, Any]:
    """What the server says to a connection that has sent this and no more."""
    ours, its = socket.socketpair(socket.AF_UNIX)
    with ours, its:
        ours.sendall(content)
        HelperServer(its, machine.helper, os.geteuid(), patience_s=0.3)._serve(its)
        ours.setblocking(False)
        said: dict[str, Any] = json.loads(ours.recv(1 << 16))
        return said


def raw(path: Path, content: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(path))
        try:
            connection.sendall(content)
            return connection.recv(1 << 16)
        except ConnectionError:
            return b""


def test_the_client_gets_what_was_done_and_what_was_refused(served: Callable[[int], Path], machine: Machine) -> None:
    client = HelperClient(served(os.geteuid()))
    assert client.ask(shapes.Mount(verb="mount", partition="sdb1")) == {"folder": "/run/hako/media/sdb1"}
    assert client.ask(shapes.Reboot(verb="reboot")) == {}
    with pytest.raises(HelperRefusedError):
        client.ask(shapes.Mount(verb="mount", partition="sda1"))
    with pytest.raises(BundleSignatureError):
        client.ask(shapes.Install(verb="install", partition="sdb1", digest="b" * 64))
    machine.failing = OSError("dead")
    with pytest.raises(HelperFailedError):
        client.ask(shapes.PowerOff(verb="power-off"))


def test_another_account_is_not_even_listened_to(served: Callable[[int], Path], machine: Machine) -> None:
    path = served(os.geteuid() + 1)
    assert raw(path, b'{"verb":"reboot"}\n') == b""
    with pytest.raises(HelperRefusedError) as seen:
        HelperClient(path).ask(shapes.Reboot(verb="reboot"))
    assert (seen.value.params, machine.ran) == ({"reason": "account"}, [])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"reboot\n", "shape"),
        (b"[]\n", "shape"),
        (b'{"verb":"reboot"' + b" " * (1 << 16), "shape"),
        (b'{"verb":"' + b"[" * 30000 + b'"}\n', "verb"),
        (b"[" * 30000 + b"\n", "shape"),
        (b"\xff\xfe\n", "shape"),
        (b'{"verb":"shell","command":"id"}\n', "verb"),
    ],
)
def test_what_is_no_request_gets_a_refusal(machine: Machine, content: bytes, reason: str) -> None:
    assert told(machine, content) == {"error": "HK-BOX-024", "params": {"reason": reason}}
    assert machine.ran == []


def test_who_leaves_early_or_trickles_has_nothing_done_and_holds_nobody_up(
    served: Callable[[int], Path], machine: Machine
) -> None:
    path = served(os.geteuid())
    with contextlib.ExitStack() as held:
        for content in (b"", b'{"verb":', b'{"verb":"reboot"}'):
            leaving, slow = socket.socket(socket.AF_UNIX), held.enter_context(socket.socket(socket.AF_UNIX))
            for connection in (leaving, slow):
                connection.connect(str(path))
                connection.sendall(content)
            leaving.close()
        assert json.loads(raw(path, b'{"verb":"power-off"}\n')) == {"ok": True}
    assert machine.ran == [["systemctl", "--no-block", "poweroff"]]


def test_it_ends_when_nobody_asks(machine: Machine) -> None:
    with tempfile.TemporaryDirectory(prefix="hako-") as folder, socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(Path(folder, "helper.sock")))
        listening.listen()
        HelperServer(listening, machine.helper, os.geteuid()).serve(0.05)
    assert machine.ran == []


def test_where_no_helper_is_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(HelperUnreachableError):
        HelperClient(tmp_path / "none.sock").ask(shapes.Reboot(verb="reboot"))


def test_the_log_tells_what_was_refused_and_quotes_nothing(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    told(machine, b'{"verb":"set-zone","zone":"SECRET "}\n')
    written = capsys.readouterr()
    assert "helper_refused" in written.out + written.err
    assert "SECRET" not in written.out + written.err


def test_a_shape_can_not_be_made_wrong_on_the_clients_side_either() -> None:
    with pytest.raises(ValidationError):
        shapes.Mount(verb="mount", partition="/dev/sda")
