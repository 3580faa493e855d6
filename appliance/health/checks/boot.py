"""Whether the system crashed: the kernel's last words, kept by the firmware over the restart (pstore)."""

from collections.abc import Mapping
from typing import Final

from appliance.health.check import Group
from appliance.health.finding import Finding, Look
from appliance.health.host import Host

_FOLDERS: Final = ("sys/fs/pstore", "var/lib/systemd/pstore")
"""Where the kernel shows them, and where the system moves them."""


class BootCheck:
    """A power cut leaves no such words: it is not told apart from switching off."""

    name = "boot"
    group: Group = "machine"
    every_s = 3600.0
    codes: Mapping[str, str] = {"crashed": "HK-HLT-029"}

    def look(self, host: Host) -> Look:
        count, asked = 0, False
        for folder in _FOLDERS:
            try:
                count += len(list((host.root / folder).iterdir()))
            except FileNotFoundError:
                continue
            except OSError:
                return Look(self.name, note="unreadable", is_known=False)
            asked = True
        if not asked:
            return Look(self.name, note="none", is_known=False)
        params = {"count": count}
        if not count:
            return Look(self.name, "good", "good")
        finding = Finding(self.name, "crashed", "warning", self.codes["crashed"], params)
        return Look(self.name, "crashed", "kept", params, [finding])
