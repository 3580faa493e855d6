"""A unix socket of one process on this machine: who may connect, a thread for each connection, an end that is clean."""

import contextlib
import fcntl
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from appliance import logs, modes
from appliance.errors import ConflictError

log = logs.get(__name__)

_PAUSE_S = 0.1
"""After an accept that failed, e.g. for want of descriptors."""

Allowed = Callable[[socket.socket], bool]


class UnixServer:
    """Hands each connection of an allowed process to `serve`, in a thread of its own, until it is stopped."""

    def __init__(self, path: Path, serve: Callable[[socket.socket], None], allowed: Allowed, places: int) -> None:
        """`serve`: closes the connection itself. `allowed`: whether the process at its other end may ask.

        `places`: connections at once; more wait in the kernel until one has ended.
        """
        self._path = path
        self._serve = serve
        self._allowed = allowed
        self._places = threading.BoundedSemaphore(places)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._lock: int | None = None
        self.ending = threading.Event()
        """Set once nobody is let in any more."""

    def hold(self) -> None:
        """Take the socket's place on the disk, for this process alone; a socket that a killed process left goes.

        Raises:
            ConflictError: another process has it.
        """
        self._path.parent.mkdir(mode=modes.folder(), parents=True, exist_ok=True)
        descriptor = os.open(self._path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, modes.file())
        try:
            # The kernel lets go of it when this process dies, however it dies.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise ConflictError("such a process is running already", name=str(self._path)) from error
        self._lock = descriptor
        self._path.unlink(missing_ok=True)

    def start(self) -> None:
        """Open the socket and answer from now on.

        Raises:
            ConflictError: another process has its place; see `hold`.
        """
        if self._lock is None:
            self.hold()
        self._socket.bind(str(self._path))
        self._path.chmod(modes.file())
        self._socket.listen(socket.SOMAXCONN)  # a full queue would refuse clients that don't wait for it
        threading.Thread(target=self._accept, name="accept", daemon=True).start()

    def shut(self) -> None:
        """Let nobody in any more; who is in stays. The place on the disk is still this process's."""
        self.ending.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def stop(self) -> None:
        """Shut it and leave its place to the next process. What is being answered ends by itself."""
        self.shut()
        if self._lock is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    def _accept(self) -> None:
        while not self.ending.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                if self.ending.wait(_PAUSE_S):
                    return
                continue
            if not self._allowed(connection):
                log.warning("stranger_refused", socket=self._path.name)
                connection.close()
                continue
            self._places.acquire()
            threading.Thread(target=self._served, args=(connection,), name="client", daemon=True).start()

    def _served(self, connection: socket.socket) -> None:
        try:
            self._serve(connection)
        finally:
            self._places.release()
