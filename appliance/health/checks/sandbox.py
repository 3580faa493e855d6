"""Whether the sandbox in which untrusted files are read closes wholly here: a container's runtime can forbid parts."""

import sys
from collections.abc import Callable, Mapping
from typing import Final

from appliance.health.check import Group
from appliance.health.edge import Serious
from appliance.health.finding import Finding, Look
from appliance.health.host import Host
from appliance.machine import jail, leaving


class SandboxCheck:
    """Where a required layer is missing, no file is read at all. A network without a way out stands for its own."""

    name = "sandbox"
    group: Group = "trust"
    every_s = 3600.0
    codes: Mapping[str, str] = {"weak": "HK-IMG-017"}
    command: Final = (sys.executable, "-I", "-m", "appliance.machine.jail")

    def __init__(self, interfaces: Callable[[], frozenset[str]] = leaving.interfaces) -> None:
        self._interfaces = interfaces

    def look(self, host: Host) -> Look:
        said = host.run(self.command)
        held = frozenset((said or "").split())
        if not held or not held <= set(jail.LAYERS):
            return Look(self.name, note="silent", is_known=False)
        missing = [layer for layer in jail.LAYERS if layer not in held]
        if "namespaces" in missing and self._is_alone():
            missing.remove("namespaces")
        if not missing:
            return Look(self.name, "whole", "whole")
        params = {"missing": ", ".join(missing)}
        state: Serious = "error" if jail.REQUIRED & set(missing) else "warning"
        finding = Finding(self.name, "weak", state, self.codes["weak"], params)
        return Look(self.name, "weak", "weak", params, [finding])

    def _is_alone(self) -> bool:
        try:
            return self._interfaces() <= leaving.NO_WAY_OUT
        except OSError:
            return False
