"""The health process: looks at the computer itself; it has no keys, no database and no network."""

import contextlib
import json
import signal
import socket
import threading
from functools import partial

from appliance.config import Settings
from appliance.health import registry
from appliance.health.host import Host
from appliance.health.kit import machine
from appliance.health.watch import MachineWatch
from appliance.machine import peers
from appliance.processes.notify import Notifier, Pulse
from appliance.unix_server import UnixServer

_LOOK_S = 120.0
"""For one look: some ask several programs, each of which may take ten seconds."""
_PLACES = 8
_WORD_S = 2.0
"""In which somebody who connects says what he wants."""


def run(settings: Settings, notifier: Notifier) -> None:
    """Look until SIGTERM or SIGINT. Ready means that somebody can ask for a look.

    Raises:
        ConflictError: another one serves this data folder.
    """
    stop = threading.Event()
    host = Host()
    watch = MachineWatch(registry.machine(settings), host, settings.health_file)

    def end(_number: int, _frame: object) -> None:
        stop.set()
        watch.ask()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    pulse = Pulse(_LOOK_S)

    def asked(connection: socket.socket) -> None:
        """Who connects wants a look, or says that it is the computer's part of a support kit."""
        with connection, contextlib.suppress(OSError):
            connection.settimeout(_WORD_S)
            if connection.recv(len(machine.ASK)) == machine.ASK:
                connection.settimeout(None)
                connection.sendall(json.dumps(machine.collected(settings, host)).encode())
            else:
                watch.ask()

    allowed = peers.allowing(settings.accounts.web, settings.accounts.worker)
    server = UnixServer(settings.health_socket, asked, allowed, _PLACES)
    try:
        server.start()
        notifier.ready()
        notifier.watch(pulse.is_alive)
        watch.run(stop, partial(pulse.beat, "looks"))
    finally:
        server.stop()
