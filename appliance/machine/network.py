"""The machine's network, by systemd-networkd's files: a change is on trial until somebody has come in by it."""

import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from appliance import clock, durable, logs
from appliance.errors import HelperRefusedError, NetworkTrialError, NotArrivedError
from appliance.machine import cards
from appliance.machine.bus import Bus
from appliance.machine.machine_shapes import SetNetwork

log = logs.get(__name__)

TRIAL_S: Final = 90.0
"""For somebody to come in by a new network; then the old one is back."""
_KEPT: Final = Path("etc/systemd/network")
_TRIED: Final = Path("run/systemd/network")
"""Gone with the power, and read before what is kept: a machine that is switched off in a trial has its old network."""


@dataclass(frozen=True)
class Trial:
    """`until`: on the clock that never jumps."""

    wish: SetNetwork
    until: float


class Network:
    """One change at a time. `renew`: called when addresses have changed. `kinds`: as `cards.read`."""

    def __init__(
        self, root: Path, bus: Bus, renew: Callable[[], None], trial_s: float = TRIAL_S, kinds: Sequence[str] = ()
    ) -> None:
        self._root, self._bus, self._renew, self._trial_s, self._kinds = root, bus, renew, trial_s, kinds
        self._changing = threading.RLock()
        self._trial: Trial | None = None
        self._timer: threading.Timer | None = None

    @property
    def is_on_trial(self) -> bool:
        """Whether somebody has to come in, or the old one comes back."""
        return self._trial is not None

    def begin(self) -> None:
        """Take back what a helper that was killed had on trial: nobody knows any more since when."""
        if list((self._root / _TRIED).glob("05-hako-*.network")):
            self._take_back("begin")

    def close(self) -> None:
        """Take back what nobody could say anything about any more."""
        with self._changing:
            if self._trial is not None:
                self._take_back("end")

    def cards(self) -> list[cards.Card]:
        """Of this machine. Raises OSError, subprocess.SubprocessError: networkd doesn't answer."""
        return cards.read(self._bus.call("network1", "Describe"), self._root, self._kinds)

    def trial(self) -> dict[str, Any] | None:
        """What is on trial, and for how much longer."""
        trial = self._trial
        if trial is None:
            return None
        address = str(trial.wish.address.ip) if trial.wish.address else ""
        left_s = max(0.0, round(trial.until - clock.monotonic(), 1))
        return {"interface": trial.wish.interface, "address": address, "left_s": left_s}

    def try_out(self, wish: SetNetwork) -> dict[str, Any]:
        """Have it in force for `trial_s`.

        Raises:
            NetworkTrialError: another one is.
            HelperRefusedError: no such card.
        """
        with self._changing:
            if self._trial is not None:
                raise NetworkTrialError("another one is on trial")
            if wish.interface not in {card.name for card in self.cards()}:  # a bridge, or a tunnel, or none
                raise HelperRefusedError(reason="interface")
            durable.replace(self._tried(wish), cards.file_of(wish).encode(), mode=0o644)
            trial = self._trial = Trial(wish, clock.monotonic() + self._trial_s)
            try:
                self._reload()
            except (OSError, subprocess.SubprocessError):
                self._take_back("failed")
                raise
            self._timer = threading.Timer(self._trial_s, self._late, [trial])
            self._timer.daemon = True
            self._timer.start()
            return {"trial_s": self._trial_s}

    def keep(self, arrived: str) -> None:
        """What is on trial becomes the machine's network. `arrived`: where the request that asks so came in.

        Raises:
            NetworkTrialError: nothing is on trial.
            NotArrivedError: it came in by another way than the one on trial.
        """
        with self._changing:
            trial = self._trial
            if trial is None:
                raise NetworkTrialError("nothing to keep")
            wish = trial.wish
            card = next((card for card in self.cards() if card.name == wish.interface), None)
            if card is None or not card.has(arrived):
                raise NotArrivedError
            if wish.address is not None and ip_address(arrived) != wish.address.ip:
                raise NotArrivedError  # the card had that address before, and still has it
            kept = self._root / _KEPT / f"10-hako-{wish.interface}.network"
            durable.replace(kept, cards.file_of(wish).encode(), mode=0o644)
            self._end_trial()
            self._tried(wish).unlink(missing_ok=True)
            self._reload()
            log.info("network_kept", interface=wish.interface)

    def drop(self) -> None:
        """Take back what is on trial, at once. Raises NetworkTrialError: nothing is."""
        with self._changing:
            if self._trial is None:
                raise NetworkTrialError("nothing to take back")
            self._take_back("asked")

    def _late(self, trial: Trial) -> None:
        with self._changing:
            if self._trial is trial:  # else it was kept in this very moment
                self._take_back("late")

    def _take_back(self, reason: str) -> None:
        log.warning("network_taken_back", reason=reason)
        self._end_trial()
        for file in (self._root / _TRIED).glob("05-hako-*.network"):
            file.unlink(missing_ok=True)
        with suppress(OSError, subprocess.SubprocessError):  # the files are right at the next start in any case
            self._reload()

    def _end_trial(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._trial = self._timer = None

    def _reload(self) -> None:
        """The service itself finds which cards a changed file is about, and what changes for them."""
        self._bus.call("network1", "Reload")
        self._renew()

    def _tried(self, wish: SetNetwork) -> Path:
        return self._root / _TRIED / f"05-hako-{wish.interface}.network"
