"""The security chip that can hold a key of this machine."""

from collections.abc import Mapping

from appliance.health.check import Group
from appliance.health.finding import Look
from appliance.health.host import Host


class TpmCheck:
    """The box works without one, so that there is nothing to find."""

    name = "tpm"
    group: Group = "trust"
    every_s = 3600.0
    codes: Mapping[str, str] = {}

    def look(self, host: Host) -> Look:
        chips = host.glob("/sys/class/tpm/tpm[0-9]*")
        if not chips:
            return Look(self.name, "none", "none")
        version = host.number(f"{chips[0]}/tpm_version_major")
        if version not in (1, 2):
            return Look(self.name, note="unreadable", is_known=False)
        return Look(self.name, "there", "version", {"version": version})
