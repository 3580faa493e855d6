"""A memory whose changes a security chip has counted: an older disk that is put back is told from the newest.

Each change counts one on, first on the disk and then in the chip. So the disk may be ahead by what a power cut left
out, and is never behind.
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

FILE: Final = "count.json"
_MOST_AHEAD: Final = 3
"""Changes that power cuts can have left uncounted; each is counted at the next look."""


class Counter(Protocol):
    """What of a chip's counter is needed; see `machine.tpm`."""

    def value(self) -> int | None: ...
    def make(self) -> int: ...
    def increase(self) -> None: ...


class Count:
    """How often what lies in `folder` was changed, as its file says and the chip confirms."""

    def __init__(self, folder: Path, key: bytes, counter: Counter) -> None:
        self._file, self._key, self._counter = folder / FILE, key, counter

    def demand_newest(self) -> None:
        """Raises TrustDamagedError where the chip has counted further, has counted another disk, or is silent."""
        kept, counted = self._kept(), self._asked(self._counter.value)
        if kept is None and counted is None:
            return
        if kept is None or counted is None:  # a machine that is set up anew makes the chip forget
            raise TrustDamagedError("only one of disk and security chip has counted")
        zero, count = kept
        ahead = count - (counted - zero)
        if not 0 <= ahead <= _MOST_AHEAD:
            raise TrustDamagedError(f"the security chip has counted {-ahead} further")
        for _change in range(ahead):
            self._asked(self._counter.increase)

    def add(self) -> None:
        """Count a change that is on the disk. Raises TrustDamagedError: not counted; the next look does it."""
        zero, count = self._kept() or (self._asked(self._counter.make), 0)
        said = json.dumps([zero, count + 1])
        durable.replace(self._file, json.dumps({"count": said, "mac": keyed_digest(self._key, said.encode())}).encode())
        self._asked(self._counter.increase)

    def _kept(self) -> tuple[int, int] | None:
        """Where the chip stood at the first change, and how many there were; None before it."""
        try:
            stored = json.loads(self._file.read_bytes())
            said = str(stored["count"])
            is_ours = same(str(stored["mac"]), keyed_digest(self._key, said.encode()))
            zero, count = json.loads(said)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise TrustDamagedError(FILE) from error
        if not is_ours:
            raise TrustDamagedError(FILE)
        return int(zero), int(count)

    def _asked(self, ask: Callable[[], Said]) -> Said:
        try:
            return ask()
        except TpmError as error:
            log.warning("security_chip_silent", program=str(error))
            raise TrustDamagedError("the security chip is silent") from error


class CountedStore(TrustStore):
    """As its base, below the folder of a count."""

    def __init__(self, folder: Path, key: bytes, count: Count) -> None:
        super().__init__(folder, key)
        self._count = count

    def load(self, at_least: int = 0) -> TrustState:
        """As the base's; raises TrustDamagedError also for an older one that was put back."""
        self._count.demand_newest()
        return super().load(at_least)

    def save(self, state: TrustState) -> TrustState:
        """As the base's, and counted. Raises TrustDamagedError: as `Count.add`."""
        saved = super().save(state)
        self._count.add()
        return saved
