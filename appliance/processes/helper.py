"""The helper process: root, started by a request of the web process, gone when nobody asks."""

import os
import signal
import sys
from typing import Final

from appliance import modes
from appliance.bundle.update.privileged import RootsReleases
from appliance.bundle.update.state import Places
from appliance.config import Settings
from appliance.errors import HelperUnreachableError
from appliance.machine import peers
from appliance.machine.helper import Helper
from appliance.machine.helper_server import HelperServer
from appliance.processes import activation
from appliance.processes.notify import Notifier

_IDLE_S: Final = 60.0


def run(settings: Settings, notifier: Notifier) -> None:
    """Answer on the socket that systemd has opened.

    Raises:
        HelperUnreachableError: there is none.
        AccountError: the web process has no account of its own, so nobody could be told from it.
    """
    given = activation.taken(os.environ)
    if len(given) != 1:
        raise HelperUnreachableError(f"{len(given)} sockets")
    modes.open_to_all()  # what root installs is run by every account; what it keeps lies in a folder of its own
    os.umask(modes.umask())
    releases = RootsReleases(Places(settings.releases, settings.data_dir))
    helper = Helper(releases)
    server = HelperServer(given[0], helper, peers.uid_of(settings.accounts.web))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that what is on trial is taken back
    helper.machine.network.begin()
    notifier.ready()
    try:
        server.serve(_IDLE_S)
    finally:
        helper.machine.network.close()
