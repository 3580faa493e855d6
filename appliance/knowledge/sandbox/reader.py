"""Reads documents without trusting them: each in a jailed child of a zygote, watched, timed, killed if need be."""

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import BinaryIO

from appliance import clock, config, logs
from appliance.errors import DamagedDocumentError, DocumentError, DocumentTooLargeError, ReaderUnavailableError
from appliance.knowledge.extract.contract import Extracted, ExtractLimits, Progress, ensure_text
from appliance.knowledge.sandbox import wire, zygote
from appliance.machine import jail

log = logs.get(__name__)

_COMMAND = (sys.executable, "-m", "appliance.knowledge.sandbox.zygote")
_START_SECONDS = 60.0
_STOP_SECONDS = 2.0
_BEAT_SECONDS = 0.25
"""How often `progress` is called at least, so that a cancellation is noticed in the middle of a heavy page."""
_CHUNK = 1 << 20
_NAME_CHARACTERS = 1000
_MEMORY_SHARE = 0.5
"""A child that crashes with this share of its memory in use has run out of it."""


class _ZygoteGoneError(Exception):
    """The zygote ended before it could say how the child did."""


class DocumentReader:
    """Safe for threads: every call has a child of its own."""

    def __init__(self, limits: config.Limits, command: Sequence[str] = _COMMAND) -> None:
        self._limits = limits
        self._extract_limits = ExtractLimits(pages=limits.pages, text_bytes=limits.text_mb << 20)
        self._command = tuple(command)
        self._lock = threading.Lock()
        self._zygote: _Zygote | None = None
        self.layers: tuple[str, ...] = ()
        """The layers of the jail that held at the latest read; empty before the first."""

    def read(self, fill: Callable[[BinaryIO], None], name: str, progress: Progress) -> Extracted:
        """Read a document that `fill` writes into a file in memory.

        `progress(done, total)` is called every now and then; if it raises, the child is killed at once.

        Raises:
            DocumentError: one of its kinds.
            ReaderUnavailableError: no child can be started, or none that is shut in.
        """
        document = os.memfd_create("document", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with os.fdopen(os.dup(document), "wb") as file:
                fill(file)
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
            fcntl.fcntl(document, fcntl.F_ADD_SEALS, seals)
            for _ in range(2):  # a zygote that died takes one document with it, but not twice the same
                parent = self._running()
                try:
                    return self._read(parent, document, name, progress)
                except _ZygoteGoneError:
                    log.warning("zygote ended", status=parent.stop())
            raise ReaderUnavailableError("zygote ended twice")
        finally:
            os.close(document)

    def close(self) -> None:
        """End the zygote, and with it every child."""
        with self._lock:
            if self._zygote is not None:
                self._zygote.stop()
            self._zygote = None

    def _running(self) -> "_Zygote":
        with self._lock:
            if self._zygote is None or not self._zygote.alive:
                if self._zygote is not None:
                    self._zygote.stop()
                self._zygote = _Zygote(self._command)
            return self._zygote

    def _read(self, parent: "_Zygote", document: int, name: str, progress: Progress) -> Extracted:
        request = {
            "name": name[:_NAME_CHARACTERS],
            "pages": self._extract_limits.pages,
            "text_bytes": self._extract_limits.text_bytes,
            "memory_bytes": self._limits.parse_memory_mb << 20,
            "cpu_seconds": self._limits.parse_seconds,
        }
        watch = _Watch(wire.Receiver(self._extract_limits, name))
        try:
            watch.start(parent, json.dumps(request).encode(), document)
            self._follow(watch, progress)
            self.layers = watch.receiver.layers or self.layers
            return ensure_text(self._outcome(watch), self._extract_limits)
        except wire.LieError as error:
            raise DamagedDocumentError(f"child: {error}") from error
        finally:
            watch.end(parent)

    def _follow(self, watch: "_Watch", progress: Progress) -> None:
        """Until the child has answered or ended."""
        deadline = clock.monotonic() + self._limits.parse_seconds
        beat = 0.0
        while not watch.over:
            now = clock.monotonic()
            if now >= deadline:
                raise self._too_slow()
            if now >= beat:
                beat = now + _BEAT_SECONDS
                progress(*(watch.receiver.progress or (0, 1)))
            watch.wait(min(beat, deadline) - now)

    def _outcome(self, watch: "_Watch") -> Extracted:
        receiver = watch.receiver
        if receiver.document is not None:
            return receiver.document
        if receiver.error is not None:
            raise receiver.error
        if receiver.out_of_memory:
            raise self._too_big()
        raise self._ended(watch)

    def _ended(self, watch: "_Watch") -> DocumentError:
        """Why a child gave no answer."""
        if watch.exit_status is None:
            raise _ZygoteGoneError
        if os.WIFEXITED(watch.exit_status):
            code = os.WEXITSTATUS(watch.exit_status)
            if code == jail.NOT_JAILED:
                return ReaderUnavailableError("jail: " + " ".join(watch.receiver.layers))
            return DamagedDocumentError(f"child ended with {code}")
        number = os.WTERMSIG(watch.exit_status)
        if number == signal.SIGXCPU:
            return self._too_slow()
        used = watch.largest_kib << 10
        if number == signal.SIGKILL or used > (self._limits.parse_memory_mb << 20) * _MEMORY_SHARE:
            return self._too_big()
        return DamagedDocumentError(f"child ended by signal {number}")

    def _too_slow(self) -> DocumentTooLargeError:
        return DocumentTooLargeError("time", limit=f"{self._limits.parse_seconds} s")

    def _too_big(self) -> DocumentTooLargeError:
        return DocumentTooLargeError("memory", limit=f"{self._limits.parse_memory_mb} MB")


class _Zygote:
    """The running zygote."""

    def __init__(self, command: Sequence[str]) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control = ours
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd=config.REPOSITORY,
                env=_environment(),
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        ours.settimeout(_START_SECONDS)
        try:
            ready = ours.recv(len(zygote.READY))
        except OSError:
            ready = b""
        if ready != zygote.READY:
            raise ReaderUnavailableError(f"zygote: status {self.stop()}")
        ours.settimeout(None)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def request(self, message: bytes, handles: Sequence[int]) -> None:
        """Raises _ZygoteGoneError if there is nobody to ask."""
        try:
            with self._lock:
                socket.send_fds(self._control, [message], list(handles))
        except OSError as error:
            raise _ZygoteGoneError from error

    def stop(self) -> int:
        """End it; its exit status."""
        self._control.close()
        try:
            return self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


class _Watch:
    """One child from its start to its end, seen from outside."""

    def __init__(self, receiver: wire.Receiver) -> None:
        self.receiver = receiver
        self.exit_status: int | None = None
        self.largest_kib = 0
        self._process: int | None = None
        self._result, self._result_end = os.pipe2(os.O_CLOEXEC)
        self._status, self._status_end = socket.socketpair()
        self._poll = select.poll()
        self._poll.register(self._result, select.POLLIN)
        self._poll.register(self._status, select.POLLIN)
        self._drained = self._settled = False

    @property
    def over(self) -> bool:
        """True once nothing more can come that matters."""
        return self.receiver.finished or (self._drained and self._settled)

    def start(self, parent: _Zygote, message: bytes, document: int) -> None:
        try:
            parent.request(message, [document, self._result_end, self._status_end.fileno()])
        finally:
            os.close(self._result_end)
            self._status_end.close()

    def wait(self, seconds: float) -> None:
        """Take in what comes within that time.

        Raises:
            wire.LieError: the child sends what it shouldn't.
        """
        for handle, _ in self._poll.poll(max(seconds, 0.0) * 1000):
            if handle == self._result:
                data = os.read(self._result, _CHUNK)
                if data:
                    self.receiver.feed(data)
                else:
                    self._poll.unregister(self._result)
                    self._drained = True
            else:
                self._take_status()

    def _take_status(self) -> None:
        try:
            message, handles, _, _ = socket.recv_fds(self._status, max(len(zygote.STARTED), zygote.EXITED.size), 1)
        except OSError:
            message, handles = b"", []
        if handles:
            self._process = handles[0]
        if len(message) == zygote.EXITED.size:
            self.exit_status, self.largest_kib = zygote.EXITED.unpack(message)
        if not handles:
            self._poll.unregister(self._status)
            self._settled = True

    def end(self, parent: _Zygote) -> None:
        """Kill the child if it still runs, and let go of everything."""
        if self._process is None and not self._settled:  # asked for, but not yet heard of
            self._status.settimeout(_STOP_SECONDS)
            self._take_status()
            if self._process is None and self.exit_status is None:
                parent.stop()  # children die with it
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._process, signal.SIGKILL)
            os.close(self._process)
        os.close(self._result)
        self._status.close()


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "PYTHONPATH") if name in os.environ}
