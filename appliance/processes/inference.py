"""The inference process: the supervisor of the models on its socket, the default models loaded in the background."""

import signal
import threading
from typing import Final

from appliance.config import Settings
from appliance.inference.default_models import DefaultModels
from appliance.inference.supervisor import Supervisor
from appliance.processes.notify import Notifier

_TURN_S: Final = 60.0
"""For one turn of the loop that tends the models."""


def run(settings: Settings, notifier: Notifier) -> None:
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
        notifier.ready()
        notifier.watch(lambda: supervisor.is_turning(_TURN_S))
        supervisor.preload(list(DefaultModels(settings).own()))
        stop.wait()
    finally:
        supervisor.stop()
