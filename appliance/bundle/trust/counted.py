"""The memory of a publisher, mirrored in a counter of the security chip, which tells when an older disk is put back.

Each save counts one on, after it is on the disk. So the memory may be ahead of the counter by what a power cut left
out, and is never behind it.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol, TypeVar

from appliance import durable, logs
from appliance.bundle.trust.state import TrustState, TrustStore
from appliance.errors import TrustDamagedError
from appliance.machine.tpm import TpmError
from appliance.vault.digests import keyed_digest, same

log = logs.get(__name__)

Said = TypeVar("Said")

BASE: Final = "counter.json"
_MOST_BEHIND: Final = 3
"""Saves that power cuts can have left uncounted; each is counted at the next look."""


class Counter(Protocol):
    """What of a chip's counter is needed; see `machine.tpm`."""

    def value(self) -> int | None: ...
    def make(self) -> int: ...
    def increase(self) -> int: ...


class CountedStore(TrustStore):
    """As its base, and refuses a memory that is older than the counter says.

    The counter is of the machine, so one memory at a time is counted: that of the publisher whom root trusts.
    """

    def __init__(self, folder: Path, key: bytes, counter: Counter) -> None:
        super().__init__(folder, key)
        self._counter = counter
        self._base = folder / BASE

    def load(self, at_least: int = 0) -> TrustState:
        """As the base's.

        Raises:
            TrustDamagedError: also for an older one that was put back, or where the chip that counted it is silent.
        """
        zero, counted = self._zero(), self._count()
        if zero is None and counted is None:
            return super().load(at_least)
        if zero is None or counted is None:  # a machine that is set up anew makes the chip forget
            raise TrustDamagedError("only one of memory and security chip has counted")
        state = super().load(max(at_least, counted - zero))
        behind = state.serial - (counted - zero)
        if behind > _MOST_BEHIND:
            raise TrustDamagedError(f"the counter in the security chip is {behind} behind")
        for _save in range(behind):
            self._increase()
        return state

    def save(self, state: TrustState) -> TrustState:
        """As the base's, and counted; the first time the counter is made.

        Raises:
            TrustDamagedError: it is on the disk, but could not be counted; the next look counts it.
        """
        if self._zero() is None:
            self._begin(state.serial)
        saved = super().save(state)
        self._increase()
        return saved

    def _begin(self, serial: int) -> None:
        zero = json.dumps(self._asked(self._counter.make) - serial)
        durable.folder(self._folder)
        durable.replace(self._base, json.dumps({"zero": zero, "mac": keyed_digest(self._key, zero.encode())}).encode())

    def _zero(self) -> int | None:
        """Where the counter stood when nothing had been saved yet; None before the first save."""
        try:
            said = json.loads(self._base.read_bytes())
            zero = str(said["zero"])
            is_ours = same(str(said["mac"]), keyed_digest(self._key, zero.encode()))
            stood = int(zero)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise TrustDamagedError(BASE) from error
        if not is_ours:
            raise TrustDamagedError(BASE)
        return stood

    def _count(self) -> int | None:
        return self._asked(self._counter.value)

    def _increase(self) -> None:
        self._asked(self._counter.increase)

    def _asked(self, ask: Callable[[], Said]) -> Said:
        try:
            return ask()
        except TpmError as error:
            log.warning("security_chip_silent", program=str(error))
            raise TrustDamagedError("the security chip is silent") from error
