"""The helper: each errand by systemd's own tools, and everything else refused, whoever asks and however."""

import contextlib
import hashlib
import json
import os
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from appliance.errors import (
    BundleSignatureError,
    CancelledError,
    HelperFailedError,
    HelperRefusedError,
    HelperUnreachableError,
)
from appliance.machine import helper_shapes as shapes
from appliance.machine.helper import Helper, Tell
from appliance.machine.helper_client import HelperClient
from appliance.machine.helper_server import HelperServer

DIGEST = "a" * 64
MEDIA = "/run/hako/media"


class Releases:
    """Installs nothing, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[shapes.Install] = []
        self.agreed: list[str] = []
        self.stopped: list[str] = []

    def install(self, wish: shapes.Install, tell: Tell) -> str:
        self.asked.append(wish)
        if wish.digest != DIGEST:
            raise BundleSignatureError
        until = time.monotonic() + 20
        try:
            for done in range(3 if not wish.stale else 10**6):  # "stale" stands for one that never ends
                tell("copying", done, 3)
                assert time.monotonic() < until
                time.sleep(0.25 if not wish.stale else 0.02)
        except CancelledError as error:
            self.stopped.append(error.detail)
            raise
        return "0.2.0"

    def agree(self, digest: str) -> str:
        if digest != DIGEST:
            raise HelperRefusedError(reason="release")
        self.agreed.append(digest)
        return "0.2.0"

    def take_system(self, wish: shapes.TakeSystem, tell: Tell) -> str:
        tell("copying", 1, 1)
        if wish.digest != DIGEST:
            raise BundleSignatureError
        return "0.2.0"

    def back(self) -> None:
        """There always is another one."""

    def trust(self, root: bytes) -> str:
        return hashlib.sha256(root).hexdigest()


class Machine:
    """A folder that stands for the machine, with a stick and a disk; commands are only noted."""

    def __init__(self, root: Path) -> None:
        self.root, self.ran, self.releases = root, [], Releases()  # type: ignore[var-annotated]
        self.failing: Exception | None = None
        block = root / "sys/class/block"
        block.mkdir(parents=True)
        for name, place in (("sdb1", "pci0/usb2/2-1/block/sdb/sdb1"), ("sda1", "pci0/ata1/block/sda/sda1")):
            (root / "sys/devices" / place).mkdir(parents=True)
            (block / name).symlink_to(root / "sys/devices" / place)
        self.helper = Helper(self.releases, root, self._run)

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
    ],
)
def test_an_errand_is_a_few_words_to_systemd(
    machine: Machine, message: dict[str, Any], commands: list[list[str]]
) -> None:
    machine.ask(**message)
    assert machine.ran == commands


def test_a_stick_is_mounted_where_web_looks_for_it(machine: Machine) -> None:
    assert machine.ask(verb="mount", partition="sdb1") == {"folder": "/run/hako/media/sdb1"}


SLOTS = ["systemctl", "--no-block", "restart", "hako-slots.service"]


def test_a_system_is_laid_down_and_the_machine_told_to_look_and_one_that_is_refused_is_not(machine: Machine) -> None:
    with pytest.raises(BundleSignatureError):
        machine.ask(verb="take-system", media=MEDIA, below=["sdb1"], digest="b" * 64)
    assert machine.ran == []
    assert machine.ask(verb="take-system", media=MEDIA, below=["sdb1"], digest=DIGEST) == {"version": "0.2.0"}
    assert machine.ask(verb="system-back") == {}
    assert machine.ran == [SLOTS, SLOTS]


def test_a_release_is_installed_and_then_agreed_to(machine: Machine) -> None:
    said = machine.ask(verb="install", media=MEDIA, below=["sdb1", "箱の更新"], digest=DIGEST)
    assert said == {"version": "0.2.0"}
    (asked,) = machine.releases.asked
    assert (asked.media, asked.below, asked.digest, asked.stale) == (MEDIA, ("sdb1", "箱の更新"), DIGEST, False)
    with pytest.raises(BundleSignatureError):
        machine.ask(verb="install", media=MEDIA, below=["sdb1"], digest="b" * 64)
    assert machine.ask(verb="switch", digest=DIGEST) == {"version": "0.2.0"}
    assert machine.ask(verb="trust", root="{}") == {"fingerprint": hashlib.sha256(b"{}").hexdigest()}
    assert (machine.ran, machine.releases.agreed) == ([], [DIGEST])


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"verb": "mount", "partition": "sda1"}, "medium"),
        ({"verb": "mount", "partition": "sdc"}, "medium"),
        ({"verb": "switch", "digest": "b" * 64}, "release"),
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
        {"verb": "install", "media": MEDIA, "digest": "A" * 64},
        {"verb": "install", "media": "", "digest": DIGEST},
        {"verb": "install", "media": MEDIA, "digest": DIGEST, "below": [".."]},
        {"verb": "install", "media": MEDIA, "digest": DIGEST, "below": ["a/b"]},
        {"verb": "install", "media": MEDIA, "digest": DIGEST, "below": ["a\0b"]},
        {"verb": "install", "media": MEDIA, "digest": DIGEST, "below": ["a"] * 5},
        {"verb": "install", "media": MEDIA, "digest": DIGEST, "stale": 1},
        {"verb": "take-system", "media": MEDIA, "digest": DIGEST, "below": ["../sdb1"]},
        {"verb": "system-back", "slot": "a"},
        {"verb": "switch", "digest": ""},
        {"verb": "trust", "root": ""},
        {"verb": "trust", "root": "x" * (shapes.LONGEST_ROOT + 1)},
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
def served(machine: Machine) -> Iterator[Callable[..., Path]]:
    """Start a server for one account, which ends a second after the last request; its socket."""
    with tempfile.TemporaryDirectory(prefix="hako-") as folder, socket.socket(socket.AF_UNIX) as listening:
        path = Path(folder, "helper.sock")
        threads: list[threading.Thread] = []

        def start(uid: int, verbs: Collection[str] = shapes.VERBS) -> Path:
            listening.bind(str(path))
            listening.listen()
            server = HelperServer(listening, machine.helper, {uid: verbs}, patience_s=0.3)
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
        HelperServer(its, machine.helper, {os.geteuid(): shapes.VERBS}, patience_s=0.3).answer(its)
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


def test_the_client_gets_what_was_done_and_what_was_refused(served: Callable[..., Path], machine: Machine) -> None:
    client = HelperClient(served(os.geteuid()))
    assert client.ask(shapes.Mount(verb="mount", partition="sdb1")) == {"folder": "/run/hako/media/sdb1"}
    assert client.ask(shapes.Reboot(verb="reboot")) == {}
    with pytest.raises(HelperRefusedError):
        client.ask(shapes.Mount(verb="mount", partition="sda1"))
    with pytest.raises(BundleSignatureError):
        client.ask(shapes.Install(verb="install", media=MEDIA, below=("sdb1",), digest="b" * 64))
    machine.failing = OSError("dead")
    with pytest.raises(HelperFailedError):
        client.ask(shapes.PowerOff(verb="power-off"))


def test_who_waits_hears_how_far_it_is_and_others_are_answered_meanwhile(
    served: Callable[..., Path], machine: Machine
) -> None:
    client, heard = HelperClient(served(os.geteuid())), []

    def tell(stage: str, done: int, total: int) -> None:
        heard.append((stage, done, total))
        assert client.ask(shapes.Mount(verb="mount", partition="sdb1")) == {"folder": "/run/hako/media/sdb1"}

    wish = shapes.Install(verb="install", media=MEDIA, below=("sdb1",), digest=DIGEST)
    assert client.ask(wish, tell) == {"version": "0.2.0"}
    assert heard == [("copying", 0, 3), ("copying", 1, 3), ("copying", 2, 3)]


def test_who_has_it_stopped_or_goes_away_stops_it(served: Callable[..., Path], machine: Machine) -> None:
    client = HelperClient(served(os.geteuid()))

    def stop(_stage: str, done: int, _total: int) -> None:
        raise CancelledError

    endless = shapes.Install(verb="install", media=MEDIA, below=("sdb1",), digest=DIGEST, stale=True)
    with pytest.raises(CancelledError):
        client.ask(endless, stop)
    until = time.monotonic() + 20
    while not machine.releases.stopped:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_the_worker_may_ask_for_releases_to_be_installed_and_for_nothing_else(
    served: Callable[..., Path], machine: Machine
) -> None:
    client = HelperClient(served(os.geteuid(), shapes.WORKERS))
    wish = shapes.Install(verb="install", media=MEDIA, below=("sdb1",), digest=DIGEST)
    assert client.ask(wish) == {"version": "0.2.0"}
    forbidden: list[shapes.Request] = [
        shapes.Switch(verb="switch", digest=DIGEST),
        shapes.Trust(verb="trust", root="{}"),
        shapes.Reboot(verb="reboot"),
    ]
    for each in forbidden:
        with pytest.raises(HelperRefusedError) as seen:
            client.ask(each)
        assert seen.value.params == {"reason": "account"}
    assert (machine.ran, machine.releases.agreed) == ([], [])


def test_another_account_is_not_even_listened_to(served: Callable[..., Path], machine: Machine) -> None:
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
    served: Callable[..., Path], machine: Machine
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
        HelperServer(listening, machine.helper, {os.geteuid(): shapes.VERBS}).serve(0.05)
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
