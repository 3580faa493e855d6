"""Every check of the machine there is, in the order of the page."""

from collections.abc import Sequence

from appliance.health.check import MachineCheck

MACHINE: Sequence[MachineCheck] = ()
