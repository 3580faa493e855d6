"""The helper process: root, started by a request of web or worker, gone when nobody asks."""

import os
import signal
import sys
from pathlib import Path
from typing import Final

from appliance import modes
from appliance.bundle.update.anchor import MEMORY
from appliance.bundle.update.privileged import RootsReleases
from appliance.bundle.update.state import Places
from appliance.config import Settings
from appliance.errors import HelperUnreachableError
from appliance.machine import peers
from appliance.machine.helper import Helper
from appliance.machine.helper_server import HelperServer
from appliance.machine.helper_shapes import VERBS, WORKERS
from appliance.processes import activation
from appliance.processes.notify import Notifier

_IDLE_S: Final = 60.0


def run(settings: Settings, notifier: Notifier) -> None:
    """Answer on the socket that systemd has opened.

    Raises:
        HelperUnreachableError: there is none.
        AccountError: web or worker have no account of their own, so nobody could be told from them.
    """
    given = activation.taken(os.environ)
    if len(given) != 1:
        raise HelperUnreachableError(f"{len(given)} sockets")
    modes.open_to_all()  # what root installs is run by every account; what it keeps lies in a folder of its own
    os.umask(modes.umask())
    memory = Path(os.environ.get("STATE_DIRECTORY", MEMORY))
    releases = RootsReleases(Places(settings.releases, settings.data_dir), settings.storage.media, memory=memory)
    web, worker = peers.uid_of(settings.accounts.web), peers.uid_of(settings.accounts.worker)
    helper = Helper(releases)
    server = HelperServer(given[0], helper, {worker: WORKERS, web: VERBS})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that what is on trial is taken back
    helper.machine.network.begin()
    notifier.ready()
    try:
        server.serve(_IDLE_S)
    finally:
        helper.machine.network.close()
