"""Tell who started this process how it is: systemd's datagram protocol, which `hako serve` speaks too."""

import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Self

from appliance import clock, logs

log = logs.get(__name__)

_LOOKS: Final = 4
"""Within the time that the dog waits: one look that comes late does no harm."""


class Notifier:
    """Speaks to the socket that the environment names; where there is none, says nothing and asks nothing."""

    def __init__(self, address: str = "", watchdog_s: float = 0.0) -> None:
        """`watchdog_s`: whoever listens ends this process when it has said nothing for so long; 0 for never."""
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog_s = watchdog_s
        self._over = threading.Event()

    @classmethod
    def taken(cls, environment: "os._Environ[str] | dict[str, str]") -> Self:
        """From the variables of this process, which its children must not have: they would speak in its name."""
        address = environment.pop("NOTIFY_SOCKET", "")
        patience = environment.pop("WATCHDOG_USEC", "")
        meant = environment.pop("WATCHDOG_PID", "") in ("", str(os.getpid()))
        return cls(address, int(patience) / 1e6 if meant and patience.isdecimal() else 0.0)

    def ready(self) -> None:
        """This process answers from now on."""
        self._say(b"READY=1")

    def watch(self, is_alive: Callable[[], bool]) -> None:
        """Say again and again that this process is well, as long as it is; `is_alive` may take its time over it.

        It must ask what would be stuck, for the thread that asks never is.
        """
        if self._address and self._watchdog_s:
            threading.Thread(target=self._feed, args=(is_alive,), name="watchdog", daemon=True).start()

    def close(self) -> None:
        """Nothing more is said of how it is."""
        self._over.set()

    def _feed(self, is_alive: Callable[[], bool]) -> None:
        while not self._over.is_set():
            try:
                is_well = is_alive()
            except Exception:
                log.exception("watchdog_crashed")
                is_well = False
            if is_well:
                self._say(b"WATCHDOG=1")
            else:
                log.warning("watchdog_not_fed")
            self._over.wait(self._watchdog_s / _LOOKS)

    def _say(self, words: bytes) -> None:
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.settimeout(1.0)
            channel.connect(self._address)
            channel.send(words)


class Pulse:
    """Whether the loops of one process turn: each says so, and none may be late. Safe to share between threads."""

    def __init__(self, within_s: float) -> None:
        """How long each loop may take over one turn."""
        self._within_s = within_s
        self._last: dict[str, float] = {}

    def beat(self, loop: str) -> None:
        """It has turned once more; with its first turn it counts."""
        self._last[loop] = clock.monotonic()

    def is_alive(self) -> bool:
        """Whether all of them turn."""
        now = clock.monotonic()
        return all(now - last <= self._within_s for last in list(self._last.values()))
