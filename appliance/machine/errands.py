"""Root's errands to the machine itself: how it is, its network, its name, its time, its certificate, its end."""

import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from appliance import clock, durable
from appliance.errors import HelperRefusedError
from appliance.machine import bus, kept
from appliance.machine.machine_shapes import (
    DropCertificate,
    DropNetwork,
    Erase,
    KeepNetwork,
    Machine,
    MachineRequest,
    SetCertificate,
    SetClock,
    SetName,
    SetNetwork,
    SetZone,
)
from appliance.machine.network import Network
from appliance.vault import certificates

BROUGHT: Final = Path("etc/hako/tls/brought.pem")
"""A certificate with its chain and its key, as an operator has brought it: one file, so the two always fit."""
_CERTIFICATE: Final = "hako-certificate.service"
_ERASING: Final = "hako-erase.service"

Done = dict[str, Any] | None


class MachineErrands:
    """`root`: what is taken for `/`. `network`: unless told by `ask`, on this machine."""

    def __init__(
        self,
        root: Path = Path("/"),
        ask: bus.Ask = bus.ask,
        network: Network | None = None,
        now: Callable[[], float] = clock.now,
    ) -> None:
        self._root, self._ask, self._bus, self._now = root, ask, bus.Bus(ask), now
        self._keeping = threading.Lock()
        self.network = network or Network(root, self._bus, self._renew)
        self._errands: dict[type[MachineRequest], Callable[[Any], Done]] = {
            Machine: lambda _wish: self._machine(),
            SetNetwork: self.network.try_out,
            KeepNetwork: lambda wish: self.network.keep(str(wish.arrived)),
            DropNetwork: lambda _wish: self.network.drop(),
            SetName: self._set_name,
            SetZone: self._set_zone,
            SetClock: self._set_clock,
            SetCertificate: self._take_certificate,
            DropCertificate: lambda _wish: self._drop_certificate(),
            Erase: lambda _wish: self._erase(),
        }

    def act(self, request: MachineRequest) -> Done:
        """Do it; what there is to say of it.

        Raises:
            HelperRefusedError: this machine has no such card or zone.
            NetworkTrialError, NotArrivedError: as `Network`.
            CertificateUnreadableError, CertificateKeyError, CertificateTimeError, CertificateNameError: of the pair.
            OSError, subprocess.SubprocessError: the machine refuses.
        """
        return self._errands[type(request)](request)

    def _machine(self) -> dict[str, Any]:
        named = self._bus.properties("hostname1", "StaticHostname", "Hostname")
        time = self._bus.properties("timedate1", "Timezone", "NTP", "NTPSynchronized")
        return {
            "name": str(named["StaticHostname"] or named["Hostname"]),
            "cards": [asdict(card) for card in self.network.cards()],
            "trial": self.network.trial(),
            "zone": str(time["Timezone"]),
            "ntp": bool(time["NTP"]),
            "synchronised": bool(time["NTPSynchronized"]),
            "brought_certificate": (self._root / BROUGHT).exists(),
        }

    def _set_name(self, wish: SetName) -> None:
        self._ask(["hostnamectl", "set-hostname", wish.name])
        self._keep(name=wish.name)
        self._renew()

    def _set_zone(self, wish: SetZone) -> None:
        if not (self._root / "usr/share/zoneinfo" / wish.zone).is_file():
            raise HelperRefusedError(reason="zone")
        self._ask(["timedatectl", "set-timezone", wish.zone])
        self._keep(zone=wish.zone)

    def _keep(self, **said: str) -> None:
        """For the next start. Requests come in threads, and each changes a part of the one file."""
        with self._keeping:
            kept.write(replace(kept.read(self._root), **said), self._root)

    def _set_clock(self, wish: SetClock) -> None:
        if self._bus.properties("timedate1", "NTP")["NTP"]:  # the clock can be set only while nobody else sets it
            self._ask(["timedatectl", "set-ntp", "false"])
        at = datetime.fromtimestamp(wish.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        self._ask(["timedatectl", "set-time", at])

    def _take_certificate(self, wish: SetCertificate) -> None:
        machine = self._machine()
        addresses = [address.partition("/")[0] for card in machine["cards"] for address in card["addresses"]]
        names = (machine["name"], f"{machine['name']}.local", *addresses)
        certificates.checked(wish.certificate, wish.key, names, self._now())
        both = f"{wish.certificate.strip()}\n{wish.key.strip()}\n".encode()
        durable.replace(self._root / BROUGHT, both, mode=0o400)
        self._renew()

    def _drop_certificate(self) -> None:
        (self._root / BROUGHT).unlink(missing_ok=True)
        durable.sync((self._root / BROUGHT).parent)
        self._renew()

    def _renew(self) -> None:
        """Where the machine makes its certificate itself; elsewhere there is no such unit."""
        with suppress(OSError, subprocess.SubprocessError):
            self._ask(["systemctl", "--no-block", "try-restart", _CERTIFICATE])

    def _erase(self) -> None:
        self._ask(["systemctl", "--no-block", "start", _ERASING])
