"""What a check is: a name, how often it looks, and a look at the machine or at the box."""

from typing import Literal, Protocol

from appliance.health.finding import Look
from appliance.health.host import Host

Group = Literal["machine", "box", "trust"]
"""Where its tile stands: the hardware and its system; what the box keeps and does; keys, log, gap, time."""


class MachineCheck(Protocol):
    """Looks at the computer alone, so that it needs neither keys nor the database and works while sealed."""

    name: str
    group: Group
    every_s: float
    """Seconds between two looks."""

    def look(self, host: Host) -> Look:
        """What it sees now. Never raises for what a machine may lack: that is unknown, with its reason."""
        ...
