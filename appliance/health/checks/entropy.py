"""Whether the kernel's random numbers are ready. Its figure of available entropy says nothing on kernels of today."""

import os
from collections.abc import Callable, Mapping

from appliance.health.check import Group
from appliance.health.finding import Look
from appliance.health.host import Host


def is_ready() -> bool:
    """Raises OSError where the kernel can't be asked."""
    try:
        return len(os.getrandom(1, os.GRND_NONBLOCK)) == 1
    except BlockingIOError:
        return False


class EntropyCheck:
    """It never warns: keys wait by themselves until the numbers are ready."""

    name = "entropy"
    group: Group = "trust"
    every_s = 3600.0
    codes: Mapping[str, str] = {}

    def __init__(self, ready: Callable[[], bool] = is_ready) -> None:
        self._ready = ready

    def look(self, host: Host) -> Look:  # noqa: ARG002  asked of the kernel, not of a file
        try:
            is_good = self._ready()
        except OSError:
            return Look(self.name, note="unreadable", is_known=False)
        return Look(self.name, "good", "good") if is_good else Look(self.name, note="waiting", is_known=False)
