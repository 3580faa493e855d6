"""Start the box's processes, wait until each is ready, restart what dies, stop all in order."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from appliance import clock, logs
from appliance.errors import NotReadyError

log = logs.get(__name__)

_STOP_WITHIN_S = 12.0
_BACKOFF_S = (0.2, 1.0, 3.0, 10.0)
_LOOK_AT_LOG_S = 10.0
_STEADY_S = 60.0
_LOOK_AT_NEED_S = 1.0


@dataclass
class _Child:
    name: str
    process: subprocess.Popen[bytes]
    started_at: float
    deaths: int = 0
    restart_at: float | None = None


class Supervisor:
    """The development stand-in for systemd: one tree of processes that ends with its parent."""

    def __init__(
        self,
        data_dir: Path,
        log_file: Path | None,
        environment: dict[str, str] | None = None,
        needs: Mapping[str, Callable[[], bool]] | None = None,
    ) -> None:
        """`needs`: further processes that `watch` lets run only while they are needed, with what says whether."""
        self._data_dir = data_dir
        self._log_file = log_file
        self._environment = environment or {}
        self._needs = needs or {}
        self._children: dict[str, _Child] = {}
        self._order: list[str] = []

    def start(self, name: str, wait_s: float) -> float:
        """Start a process and return the seconds until it said that it is ready.

        Raises:
            NotReadyError: it ended or said nothing for `wait_s`; the log says why.
        """
        began = clock.monotonic()
        address = f"@hako-{os.getpid()}-{name}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.bind("\0" + address[1:])
            channel.settimeout(0.1)
            child = self._spawn(name, address)
            while clock.monotonic() - began < wait_s:
                try:
                    if channel.recv(64) == b"READY=1":
                        return clock.monotonic() - began
                except TimeoutError:
                    if child.process.poll() is not None:
                        break
        self._end(child)
        del self._children[name]
        raise NotReadyError(f"{name} exited with {child.process.returncode}", name=name)

    def _spawn(self, name: str, address: str | None) -> _Child:
        environment = os.environ | self._environment
        environment.pop("NOTIFY_SOCKET", None)
        if address:
            environment["NOTIFY_SOCKET"] = address
        command = [sys.executable, "-m", "appliance.processes", name]
        command += ["--data-dir", str(self._data_dir), "--parent", str(os.getpid())]
        output = self._open_log()
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,  # Ctrl-C reaches only us, and we stop them in order
            )
        finally:
            if output:
                output.close()
        child = self._children.get(name)
        if child is None:
            child = self._children[name] = _Child(name, process, clock.monotonic())
            self._order.append(name)
        else:
            child.process, child.started_at, child.restart_at = process, clock.monotonic(), None
        return child

    def _open_log(self) -> BinaryIO | None:
        if self._log_file is None:
            return None
        logs.rotate(self._log_file)
        return self._log_file.open("ab")

    def watch(self, stop: Callable[[], bool], told: Callable[[str], None]) -> None:
        """Restart what dies, with back-off, until `stop` says so; `told` gets the name of each restarted process."""
        looked = asked = clock.monotonic()
        while not stop():
            if clock.monotonic() - asked > _LOOK_AT_NEED_S:
                asked = clock.monotonic()
                self._follow_needs()
            if self._log_file and clock.monotonic() - looked > _LOOK_AT_LOG_S:
                looked = clock.monotonic()
                logs.rotate(self._log_file)
            for child in self._children.values():
                if child.restart_at is None and child.process.poll() is not None:
                    steady = clock.monotonic() - child.started_at > _STEADY_S
                    child.deaths = 1 if steady else child.deaths + 1
                    delay = _BACKOFF_S[min(child.deaths, len(_BACKOFF_S)) - 1]
                    child.restart_at = clock.monotonic() + delay
                    log.warning("process_died", name=child.name, status=child.process.returncode, restart_in_s=delay)
                elif child.restart_at is not None and clock.monotonic() >= child.restart_at:
                    self._spawn(child.name, None)
                    told(child.name)
            if os.getpid() == 1:
                self._bury()
            time.sleep(0.2)

    def _bury(self) -> None:
        """As the first process of a container: whatever has lost its parent is left to us when it ends."""
        ours = {child.process.pid for child in self._children.values()}
        with contextlib.suppress(ChildProcessError):
            while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if found.si_pid in ours:  # the next turn sees to it
                    return
                os.waitpid(found.si_pid, 0)

    def _follow_needs(self) -> None:
        """Start what is needed by now, and end what no longer is."""
        for name, is_wanted in self._needs.items():
            child = self._children.get(name)
            if child is None and is_wanted():
                self._spawn(name, None)
            elif child is not None and not is_wanted():
                del self._children[name]
                self._order.remove(name)
                self._end(child)

    def stop(self) -> None:
        """End all, the last started first."""
        for name in reversed(self._order):
            if name in self._children:
                self._end(self._children[name])
        self._children.clear()
        self._order.clear()

    def pids(self) -> dict[str, int]:
        """Process ids by name, for tests and measurements."""
        return {name: child.process.pid for name, child in self._children.items()}

    @staticmethod
    def _end(child: _Child) -> None:
        if child.process.poll() is None:
            child.process.send_signal(signal.SIGTERM)
            try:
                child.process.wait(_STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                log.warning("process_killed", name=child.name)
        _kill_group(child.process.pid)
        child.process.wait()


def _kill_group(leader: int) -> None:
    """What the process left behind, e.g. a model's child that ignored SIGTERM."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


def names() -> Sequence[str]:
    """Start order: keys first, since the others ask it for theirs."""
    return ("keys", "inference", "worker", "health", "web")
