"""The machine that the box runs on, for the web process: seen and changed by the helper where there is one."""

import hmac
import secrets
import threading
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from appliance import clock
from appliance.errors import HakoError, HelperAbsentError, NetworkTrialError
from appliance.machine import erasing, seen
from appliance.machine import machine_shapes as shapes
from appliance.machine.cards import Card
from appliance.machine.helper_client import HelperClient
from appliance.machine.helper_shapes import PowerOff, Reboot
from appliance.vault import certificates
from appliance.vault.certificates import Certificate

_WORD_BYTES: Final = 16


@dataclass(frozen=True)
class Trial:
    """A network on trial. `address`: the new one, empty where DHCP gives it; `left_s`: until it is taken back."""

    interface: str
    address: str
    left_s: float


@dataclass(frozen=True)
class Seen:
    """How the machine is. `is_ours`: whether the box may change it; else the operating system's owner does."""

    is_ours: bool
    name: str
    cards: tuple[Card, ...]
    trial: Trial | None
    zone: str
    ntp: bool
    synchronised: bool
    brought_certificate: bool


class OwnMachine:
    """Safe to share between threads. What needs the helper raises HelperAbsentError where there is none."""

    def __init__(self, data_dir: Path, socket: Path, certificate: Path | None) -> None:
        """`socket`: the helper's, whether or not it is there; `certificate`: with which the pages are served."""
        self._data_dir, self._socket, self._certificate = data_dir, socket, certificate
        self._helper = HelperClient(socket)
        self._word, self._word_of, self._word_until = "", "", 0.0
        self._naming = threading.Lock()

    @property
    def is_ours(self) -> bool:
        """Whether there is a helper, that is, whether the box may change the machine."""
        return self._socket.exists()

    def look(self) -> Seen:
        """As it is now. Raises HelperUnreachableError, HelperFailedError: there is a helper, and it can't say."""
        if not self.is_ours:
            cards = tuple(seen.cards())
            return Seen(False, seen.name(), cards, None, seen.zone(), False, False, False)
        said = self._helper.ask(shapes.Machine(verb="machine"))
        trial = said.pop("trial")
        cards = tuple(Card(**{**card, **_tuples(card)}) for card in said.pop("cards"))
        return Seen(is_ours=True, cards=cards, trial=Trial(**trial) if trial else None, **said)

    # -- the network

    def try_network(self, wish: shapes.Network, who: str) -> tuple[float, str]:
        """Have it tried: for how many seconds, and the word with which `who` may keep it without signing in again.

        Raises:
            NetworkTrialError: another one is on trial.
            HelperRefusedError: no such card.
        """
        request = shapes.SetNetwork(verb="set-network", **wish.model_dump())
        trial_s = float(self._helper.ask(request)["trial_s"])
        with self._naming:
            self._word, self._word_of = secrets.token_urlsafe(_WORD_BYTES), who
            self._word_until = clock.monotonic() + trial_s
            return trial_s, self._word

    def whose(self, word: str) -> str:
        """Who began the trial that this word is of; empty where there is no such trial, or not any more."""
        with self._naming:
            is_known = bool(self._word) and hmac.compare_digest(word.encode(), self._word.encode())
            return self._word_of if is_known and clock.monotonic() < self._word_until else ""

    def keep_network(self, arrived: str) -> None:
        """Keep it; `arrived`: the address of this machine at which the request came in.

        Raises:
            NetworkTrialError: nothing is on trial.
            NotArrivedError: the request came by another way.
        """
        if not arrived:
            raise NetworkTrialError("by no network")
        self._helper.ask(shapes.KeepNetwork(verb="keep-network", arrived=ip_address(arrived)))
        with self._naming:
            self._word = ""

    def drop_network(self) -> None:
        """Take it back at once. Raises NetworkTrialError."""
        self._helper.ask(shapes.DropNetwork(verb="drop-network"))

    # -- the rest

    def rename(self, name: str) -> None:
        """What it is called in its network."""
        self._helper.ask(shapes.SetName(verb="set-name", name=name))

    def set_zone(self, zone: str) -> None:
        """Raises HelperRefusedError: no such zone."""
        self._helper.ask(shapes.SetZone(verb="set-zone", zone=zone))

    def set_clock(self, at: int) -> None:
        """`at` in seconds since the epoch."""
        self._helper.ask(shapes.SetClock(verb="set-clock", at=at))

    def certificate(self) -> Certificate | None:
        """With which the pages are served; None without TLS. Raises CertificateUnreadableError."""
        try:
            return certificates.described(self._certificate.read_text("ascii")) if self._certificate else None
        except (OSError, ValueError):
            return None

    def authority(self) -> str | None:
        """PEM of the machine's own authority, for browsers; None where somebody else has signed, or without TLS."""
        if self._certificate is None:
            return None
        try:
            authority = self._certificate.with_name("authority.pem").read_text("ascii").strip()
            return authority + "\n" if authority in self._certificate.read_text("ascii") else None
        except (OSError, ValueError):
            return None

    def bring_certificate(self, chain: str, key: str) -> None:
        """Raises as `certificates.checked`; the present one stays then."""
        self._helper.ask(shapes.SetCertificate(verb="set-certificate", certificate=chain, key=key))

    def drop_certificate(self) -> None:
        """Back to the machine's own."""
        self._helper.ask(shapes.DropCertificate(verb="drop-certificate"))

    def restart(self) -> None:
        """Within seconds."""
        self._helper.ask(Reboot(verb="reboot"))

    def switch_off(self) -> None:
        """Within seconds."""
        self._helper.ask(PowerOff(verb="power-off"))

    def erase(self) -> None:
        """Destroy the keys of all that is stored, within seconds; from here on there is no way back."""
        if not self.is_ours:
            raise HelperAbsentError("no helper")
        erasing.wish(self._data_dir)
        try:
            self._helper.ask(shapes.Erase(verb="erase"))
        except HakoError:
            erasing.forget(self._data_dir)
            raise


def _tuples(card: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    return {"addresses": tuple(card["addresses"]), "dns": tuple(card["dns"])}
