"""What checks of the box look at, and what such a check is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from appliance.config import Settings
from appliance.gateway.gateway import Gateway
from appliance.health.check import Group
from appliance.health.finding import Look
from appliance.health.seen import Seen
from appliance.jobs.queue import Queue
from appliance.storage.audit import Audit
from appliance.storage.database import Database
from appliance.vault.protocol import VaultStatus


@dataclass(frozen=True)
class Plain:
    """The box as anybody on the machine can see it, also while it is sealed or doesn't run."""

    settings: Settings
    vault: Callable[[], VaultStatus]
    """Asks the keys process. Raises KeysUnreachableError."""
    root_pid: int
    """The process that all of the box descends from."""


@dataclass(frozen=True)
class BackupState:
    """How backups are. `made_at` in seconds since the epoch; `every_s` is 0 without a schedule."""

    state: Literal["off", "waiting", "ok", "late", "failed"]
    made_at: float | None
    every_s: float
    folder: str


@dataclass(frozen=True)
class Parts:
    """The open box."""

    plain: Plain
    database: Database
    audit: Audit
    queue: Queue
    gateway: Gateway
    backups: Callable[[], BackupState]
    back_up: Callable[[], None]
    """Begin one where the schedule says. Raises ConflictError while one is under way."""
    machine: Callable[[], list[Seen]]
    """What the health process has seen last."""


class PlainCheck(Protocol):
    """Looks at what needs no keys."""

    name: str
    group: Group
    every_s: float

    def look(self, plain: Plain) -> Look:
        """What it sees now; what it raises makes the look unknown."""
        ...


class OpenCheck(Protocol):
    """Looks at the open box."""

    name: str
    group: Group
    every_s: float

    def look(self, parts: Parts) -> Look:
        """What it sees now; what it raises makes the look unknown."""
        ...
