"""What a check is: a name, how often it looks, and a look at the machine or at the box."""

from collections.abc import Mapping
from typing import Literal, Protocol

from appliance.health.finding import Look
from appliance.health.host import Host

Group = Literal["machine", "box", "trust"]
"""Where its tile stands: the hardware and its system; what the box keeps and does; keys, log, gap, time."""


class MachineCheck(Protocol):
    """Looks at the computer alone, so that it needs neither keys nor the database and works while sealed.

    One object lives as long as its process: what a look compares with, such as a counter, is kept in it.
    """

    name: str
    group: Group
    every_s: float
    """Seconds between two looks."""
    codes: Mapping[str, str]
    """Each finding it can name, with its code."""

    def look(self, host: Host) -> Look:
        """What it sees now. Never raises for what a machine may lack: that is unknown, with its reason."""
        ...
