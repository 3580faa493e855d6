"""The egress process: the only one that opens connections to other machines; there only while some are named."""

import signal
import threading

from appliance.config import Settings
from appliance.gateway.destinations import Destinations
from appliance.gateway.egress import EgressServer
from appliance.machine import peers
from appliance.processes.notify import Notifier


def run(settings: Settings, notifier: Notifier) -> None:
    """Serve until SIGTERM or SIGINT. It has no keys and no database.

    Raises:
        ConflictError: another one serves this data folder.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    allowed = peers.allowing(settings.accounts.web, settings.accounts.worker)
    server = EgressServer(settings.egress_socket, Destinations(settings.destinations), allowed)
    try:
        server.start()
        notifier.ready()
        stop.wait()
    finally:
        server.stop()


def is_wanted(settings: Settings) -> bool:
    """Whether a destination is named now."""
    return bool(Destinations(settings.destinations).all())
