"""A machine with one network card and a helper on a real socket: systemd's services answer from a folder."""

import json
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from appliance import clock
from appliance.machine.bus import Bus
from appliance.machine.errands import MachineErrands
from appliance.machine.helper import Helper, Releases
from appliance.machine.helper_shapes import VERBS
from appliance.machine.network import Network
from tests.simulators.served_helper import serving

FALLBACK = "[Match]\nName=e*\n\n[Network]\nDHCP=yes\nMulticastDNS=yes\n"
GIVEN = "192.0.2.50/24"
"""What the network's DHCP gives. An address for documentation, which belongs to nobody."""


class Machine:
    """What it was told is noted in `ran`; `failing` is raised by the next commands. `releases`: root's, if any."""

    def __init__(
        self, root: Path, trial_s: float = 60, now: Callable[[], float] = clock.now, releases: Releases | None = None
    ) -> None:
        self.root = root
        self.ran: list[list[str]] = []
        self.failing: Exception | None = None
        self.name, self.zone, self.ntp = "hako", "Etc/UTC", False
        for name in ("usr/share/zoneinfo/Asia", "etc/systemd/network", "run/systemd/network", "etc/hako/tls"):
            (root / name).mkdir(parents=True)
        (root / "usr/share/zoneinfo/Asia/Tokyo").write_bytes(b"TZif")
        (root / "etc/systemd/network/80-hako.network").write_text(FALLBACK)
        network = Network(root, Bus(self._ask), lambda: None, trial_s)
        errands = MachineErrands(root, self._ask, network, now)
        self.helper = Helper(releases, root, lambda words: self.ran.append(list(words)), machine=errands)  # type: ignore[arg-type]

    @property
    def network(self) -> Network:
        return self.helper.machine.network

    def file(self) -> Path:
        """By which networkd goes: the first by name."""
        found = [path for each in ("etc", "run") for path in (self.root / each / "systemd/network").glob("*.network")]
        return min(found, key=lambda path: path.name)

    def served(self, path: Path) -> AbstractContextManager[None]:
        """A helper at this socket."""
        return serving(path, self.helper, {os.geteuid(): VERBS})

    def _ask(self, words: Sequence[str]) -> str:
        if words[0] != "busctl":
            return self._told(list(words))
        if words[-1] == "Reload":
            return self._told(["reload"])
        if words[-1] == "Describe":
            return json.dumps({"type": "s", "data": [json.dumps({"Interfaces": self._links()})]})
        values = {"StaticHostname": self.name, "Hostname": self.name, "Timezone": self.zone, "NTP": self.ntp}
        return "\n".join(json.dumps({"data": values.get(name, False)}) for name in words[6:])

    def _told(self, words: list[str]) -> str:
        self.ran.append(words)
        if self.failing:
            raise self.failing
        if words[:2] == ["hostnamectl", "set-hostname"]:
            self.name = words[2]
        if words[:2] == ["timedatectl", "set-timezone"]:
            self.zone = words[2]
        return ""

    def _links(self) -> list[dict[str, Any]]:
        said = self.file().read_text()
        address = next((line.split("=")[1] for line in said.splitlines() if line.startswith("Address=")), GIVEN)
        octets, length = address.split("/")
        known = {"Family": 2, "Address": [int(each) for each in octets.split(".")], "PrefixLength": int(length)}
        near = {"Family": 10, "Address": [0xFE, 0x80, *[0] * 13, 1], "PrefixLength": 64, "Scope": 253}
        card = {"Type": "ether", "HardwareAddress": [2, 0, 0, 0, 0, 1], "FlagsString": "up,running,lower-up"}
        return [
            {"Name": "lo", "Type": "loopback"},
            {"Name": "br0", "Type": "ether", "Kind": "bridge"},
            {"Name": "eth0", **card, "NetworkFile": f"/{self.file().relative_to(self.root)}",
             "Addresses": [{**known, "Scope": 0}, near],
             "Routes": [{"DestinationPrefixLength": 0, "Gateway": [192, 0, 2, 1]}],
             "DNS": [{"Address": [192, 0, 2, 2]}]},
        ]  # fmt: skip
