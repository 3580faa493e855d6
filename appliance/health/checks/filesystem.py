"""The file system of the data folder: whether it takes a file and gives it back, and errors that the kernel counted."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from appliance.health.check import Group
from appliance.health.finding import Finding, Look
from appliance.health.host import Host

_PROBE: Final = ".health-probe"
_OWN: Final = "health"
"""In the data folder: under systemd the only place in it where the process that looks may write."""


def takes_a_file(folder: Path) -> bool | None:
    """Writes a file through to the disk, reads it back and removes it; None where this account may not write."""
    probe, sent = folder / _PROBE, os.urandom(32)
    try:
        with probe.open("wb") as file:
            file.write(sent)
            file.flush()
            os.fsync(file.fileno())
        is_same = probe.read_bytes() == sent
        probe.unlink()
    except PermissionError:
        return None
    except OSError:
        return False
    return is_same


class FilesystemCheck:
    name = "filesystem"
    group: Group = "machine"
    every_s = 300.0
    codes: Mapping[str, str] = {"unwritable": "HK-HLT-006", "errors": "HK-HLT-007"}

    def __init__(self, folder: Path, probe: Callable[[Path], bool | None] = takes_a_file) -> None:
        """`folder` is the data folder."""
        self._folder = folder
        self._own = folder / _OWN
        self._probe = probe

    def look(self, host: Host) -> Look:
        findings = []
        if not self._folder.is_dir():
            return Look(self.name, note="unreadable", is_known=False)
        is_taken = self._probe(self._own if self._own.is_dir() else self._folder)
        if is_taken is False:
            findings.append(Finding(self.name, "unwritable", "error", self.codes["unwritable"]))
        for path in host.glob("/sys/fs/ext4/*/errors_count"):
            if (count := host.number(str(path)) or 0) > 0:
                disk = path.parent.name
                params: dict[str, str | int | float] = {"disk": disk, "count": count}
                findings.append(Finding(self.name, "errors", "error", self.codes["errors"], params, disk))
        if is_taken is None and not findings:
            return Look(self.name, note="unreadable", is_known=False)
        return Look(self.name, "bad" if findings else "good", "probed", findings=findings)
