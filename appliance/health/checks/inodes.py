"""Room for more files: a file system can have free bytes and yet take no file more."""

from collections.abc import Mapping
from pathlib import Path

from appliance.health.check import Group
from appliance.health.edge import Serious, level
from appliance.health.finding import Finding, Look
from appliance.health.host import Host


class InodesCheck:
    name = "inodes"
    group: Group = "machine"
    every_s = 300.0
    codes: Mapping[str, str] = {"low": "HK-HLT-003"}

    def __init__(self, folder: Path) -> None:
        """`folder` is the data folder."""
        self._folder = folder
        self._was: Serious | None = None

    def look(self, host: Host) -> Look:
        disk = host.disk(self._folder)
        if disk is None or disk.inodes < 0 or not 0 <= disk.inodes_free <= max(disk.inodes, 0):
            return Look(self.name, note="unreadable", is_known=False)
        if not disk.inodes:
            return Look(self.name, "unlimited", "unlimited")  # btrfs and the like make them as needed
        used = 1 - disk.inodes_free / disk.inodes
        self._was = level(used, warning=0.8, error=0.9, was=self._was, slack=0.02)
        params = {"percent": round(used * 100), "free": disk.inodes_free}
        findings = [Finding(self.name, "low", self._was, self.codes["low"], params)] if self._was else []
        return Look(self.name, "used", "free", params, findings)
