"""The air gap: whether a process of the box is connected to another machine, and whom an operator has named."""

from appliance.errors import DestinationsDamagedError
from appliance.gateway.destinations import Destinations
from appliance.health.box.parts import Plain
from appliance.health.check import Group
from appliance.health.finding import Finding, Fix, Look
from appliance.machine.gap import GapWatch


class EgressCheck:
    """The kernel's tables, and the list of destinations."""

    name = "egress"
    group: Group = "trust"
    every_s = 30.0

    def look(self, plain: Plain) -> Look:
        found = []
        try:
            named = len(Destinations(plain.settings.destinations).known())
        except DestinationsDamagedError:
            named = 0
            found.append(Finding("egress", "unreadable", "error", "HK-HLT-054"))
        gap = GapWatch(plain.root_pid).look().state
        figures = {"count": named}
        if named:
            found.append(Finding("egress", "named", "warning", "HK-HLT-053", figures, fix=Fix("go", "/operate/models")))
        elif gap == "open":
            found.append(Finding("egress", "open", "error", "HK-HLT-052", figures))
        note = "named" if named else "nobody"
        return Look("egress", "open" if named else gap, note, figures, found, is_known=gap != "unknown")
