"""The inference process: the supervisor of the models on its socket, the default models loaded in the background."""

import signal
import threading
from collections.abc import Callable

from appliance.config import Settings
from appliance.inference.supervisor import Supervisor


def run(settings: Settings, ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT, then end every child. Ready means that leases can be asked for.

    Raises:
        ConflictError: another one serves this data folder.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    supervisor = Supervisor(settings)
    supervisor.start()
    try:
        ready()
        supervisor.preload(list(settings.inference.own_models))
        stop.wait()
    finally:
        supervisor.stop()
