"""What the box has learned of its publisher: kept twice under the box's own key, and never older again.

python-tuf takes an empty file for none and would then accept an older bundle, and it never pushes to the disk.
So its folder is only scratch, filled from here; here, what can't be read is damage, and the second copy stands in.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from appliance import durable, logs
from appliance.errors import TrustDamagedError
from appliance.vault.digests import check_key, keyed_digest, same

log = logs.get(__name__)

COPIES: Final = ("trust-a.json", "trust-b.json")


@dataclass(frozen=True)
class TrustState:
    """One state of knowledge; `serial` counts them."""

    serial: int = 0
    roots: Mapping[int, bytes] = field(default_factory=dict)
    """Every root after the embedded one, by version."""
    metadata: Mapping[str, bytes] = field(default_factory=dict)
    """The newest verified timestamp, snapshot, targets and delegated roles, by role name."""
    counter: int = 0
    """Of the newest release that was installed for good."""
    floor: int = 0
    """No release below this counter may run."""
    issued: float = 0.0
    """When the newest signed statement was made, seconds since the epoch."""
    system: int = 0
    """The number of the newest system that was ever taken for good; only root's own memory knows one."""


class _Stored(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    serial: int = Field(ge=1)
    roots: dict[str, str]
    metadata: dict[str, str]
    counter: int = Field(ge=0)
    floor: int = Field(ge=0)
    system: int = Field(0, ge=0)
    issued: float = Field(ge=0)


class TrustStore:
    """The two copies in `folder`. One process at a time writes; its callers see to that."""

    def __init__(self, folder: Path, key: bytes) -> None:
        """Raises VaultDamagedError for a key of the wrong length."""
        self._folder = folder
        self._key = check_key(key)

    def load(self, at_least: int = 0) -> TrustState:
        """The newest state; the first one of all if the box has never learned anything.

        `at_least`: the serial that is remembered elsewhere; what is older was put back by somebody.

        Raises:
            TrustDamagedError: neither copy can be believed, or both are gone or older than they were.
        """
        found = [state for name in COPIES if (state := self._read(name)) is not None]
        if not found and not at_least and not any(self._folder.joinpath(name).exists() for name in COPIES):
            return TrustState()
        newest = max(found, key=lambda state: state.serial, default=None)
        if newest is None or newest.serial < at_least:
            raise TrustDamagedError(f"serial {newest.serial if newest else None}, at least {at_least}")
        return newest

    def save(self, state: TrustState) -> TrustState:
        """Keep a newer state: on the disk, in both copies, when this returns. Gives it its serial.

        Raises:
            DiskFullError: no room; the older state holds.
        """
        numbered = replace(state, serial=state.serial + 1)
        durable.folder(self._folder)
        content = self._sealed(numbered)
        for name in COPIES:
            durable.replace(self._folder / name, content)
        return numbered

    def _sealed(self, state: TrustState) -> bytes:
        stored = _Stored(
            serial=state.serial,
            roots={str(version): _text(data) for version, data in state.roots.items()},
            metadata={role: _text(data) for role, data in state.metadata.items()},
            counter=state.counter,
            floor=state.floor,
            system=state.system,
            issued=state.issued,
        ).model_dump_json(exclude=None if state.system else {"system"})  # a release that knows none reads it, too
        mac = keyed_digest(self._key, stored.encode())
        return json.dumps({"mac": mac, "state": stored}).encode()

    def _read(self, name: str) -> TrustState | None:
        path = self._folder / name
        try:
            return self._opened(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            log.warning("trust_copy_damaged", copy=name, kind=type(error).__name__)
            return None

    def _opened(self, content: bytes) -> TrustState | None:
        sealed = json.loads(content)
        stored = sealed["state"]
        if not same(str(sealed["mac"]), keyed_digest(self._key, stored.encode())):
            log.warning("trust_copy_not_ours")
            return None
        state = _Stored.model_validate_json(stored)
        return TrustState(
            state.serial,
            {int(version): _bytes(data) for version, data in state.roots.items()},
            {role: _bytes(data) for role, data in state.metadata.items()},
            state.counter,
            state.floor,
            state.issued,
            state.system,
        )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
