"""A check of a machine's part that the box doesn't have, as in a container: it looks at nothing, and says so."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from appliance.health.check import Group, MachineCheck
from appliance.health.finding import Look
from appliance.health.host import Host

_NOTHING: Final = Host(Path("/nonexistent"), lambda _command: None, lambda _folder: None)


class Elsewhere:
    """The same check over a machine that is bare, so that it is unknown and never an alarm."""

    def __init__(self, check: MachineCheck) -> None:
        self._check = check
        self.name: str = check.name
        self.group: Group = check.group
        self.every_s: float = check.every_s
        self.codes: Mapping[str, str] = check.codes

    def look(self, host: Host) -> Look:  # noqa: ARG002 - as all have it
        """What there is without a machine."""
        return self._check.look(_NOTHING)
