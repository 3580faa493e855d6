"""How far another system is on its way into the other slot, in small files beside the releases; all of them are root's.

The helper gives the order, `hako-slots` carries it out and says how things stand, web and worker read that.
"""

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from appliance import durable
from appliance.bundle.update.state import SYSTEM
from appliance.bundle.update.system import Room, System
from appliance.errors import DiskFullError, NotImagedError, SystemUnderWayError

Phase = Literal["idle", "staged", "writing", "waiting", "trial", "given-up"]
"""staged: its files are here, and verified. writing: the other slot can't be started. waiting: the next start is its
first one. trial: it runs. given-up: the machine is to be started with the one before.
"""
TAKEN_BACK: Final = {"boots", "no-answer", "operator", "dropped", "damaged", "room", "unwritable"}
"""Reasons beside `check-…`: started in vain, never answered, an operator's word once it ran or before, files or disk
that are not sound."""


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")  # another system may have written it


class Order(_Shape):
    """Put this system into the other slot. `digest`: the root of its tree; `manifest`: SHA-256 of its system.json."""

    id: str
    """Random: the same bundle may be taken more than once."""
    bundle: str
    """The digest of its index."""
    number: int
    version: str
    digest: str
    manifest: str
    slot: str = ""
    """Where to, once that is decided."""
    phase: Phase = "staged"
    reason: str = ""


class Ended(_Shape):
    """How the last one has ended; `at` in seconds since the epoch."""

    id: str
    bundle: str = ""
    number: int
    version: str
    kept: bool
    reason: str = ""
    at: float


class Other(_Shape):
    """What the loader would start from the other slot."""

    number: int
    version: str


class Standing(_Shape):
    """How the machine is. `alone`: the other slot can't be started, nor be made a copy of this one."""

    slot: str
    running: System
    room: Room
    other: Other | None = None
    alone: bool = False
    phase: Phase = "idle"
    wanted: Other | None = None
    """The system that is on its way."""
    reason: str = ""
    """Of a trial: what it waits for, or what has failed last."""
    done: int = 0
    total: int = 0
    """Bytes of what is being written."""
    ended: Ended | None = None
    highest: int = 0
    """The number of the newest system that was ever kept."""

    @property
    def is_resting(self) -> bool:
        """Whether no system is on its way."""
        return self.phase == "idle"

    @property
    def can_go_back(self) -> bool:
        """Whether the other slot has another system, which was started before: now, or from the trial of this one."""
        return self.phase in ("idle", "trial") and self.other is not None and self.other.number != self.running.number


class SystemPlaces:
    """`releases`: the folder that releases lie in."""

    def __init__(self, releases: Path) -> None:
        self.folder = releases / SYSTEM
        self.staged = self.folder / "staged"
        self.before = self.folder / "before"
        """Both kernels of the system that was kept before, so that a slot can be made a copy of that one, too."""
        self._gone, self._order = self.folder / "gone", self.folder / "order.json"
        self._standing, self._back = self.folder / "standing.json", self.folder / "back"

    def standing(self) -> Standing | None:
        """None where no machine of an image runs, or one that knows nothing of this yet."""
        try:
            return Standing.model_validate_json(self._standing.read_bytes())
        except (OSError, ValidationError):
            return None

    def demand(self) -> Standing:
        """Raises NotImagedError."""
        standing = self.standing()
        if standing is None:
            raise NotImagedError
        return standing

    def demand_resting(self) -> None:
        """Raises SystemUnderWayError while one is on its way; on a machine without an image none ever is."""
        standing = self.standing()
        if standing is not None and not standing.is_resting:
            raise SystemUnderWayError

    def say(self, standing: Standing) -> None:
        """For everybody to read. It only informs: a full disk must not keep a machine from starting well."""
        with suppress(OSError, DiskFullError):
            self._write(self._standing, standing)

    # -- the order, between helper and `hako-slots`

    def order(self) -> Order | None:
        """The one that is being carried out; one that can't be read counts as none."""
        try:
            return Order.model_validate_json(self._order.read_bytes())
        except (OSError, ValidationError):
            return None

    def give(self, order: Order) -> None:
        """On the disk when this returns; its files were before."""
        self._write(self._order, order)

    def put(self, files: Path) -> None:
        """Make this folder, of the same disk, the one that an order speaks of; there must be none now."""
        self.make()
        shutil.rmtree(self.staged, ignore_errors=True)
        files.rename(self.staged)
        self.staged.chmod(0o755)
        durable.sync(self.folder)
        durable.sync(files.parent)

    def forget(self) -> None:
        """The order is over. What a power cut leaves of its files has no name that anybody asks for."""
        self.tidy()
        if self.staged.exists():
            self.staged.rename(self._gone)
        self._order.unlink(missing_ok=True)
        durable.sync(self.folder)
        self.tidy()

    def tidy(self) -> None:
        """Remove what is left of an order that is over."""
        shutil.rmtree(self._gone, ignore_errors=True)

    # -- an operator's word to go back

    def want_back(self) -> None:
        """Let `hako-slots` start the other slot's system, or drop the one that waits there for its first start."""
        self.make()
        durable.replace(self._back, b"", mode=0o644)

    def wants_back(self) -> bool:
        """Whether somebody has said so; heard once."""
        try:
            self._back.unlink()
        except FileNotFoundError:
            return False
        durable.sync(self.folder)
        return True

    def make(self) -> None:
        """The folder: readable by all, written by root."""
        if not self.folder.is_dir():
            self.folder.mkdir(parents=True)
            self.folder.chmod(0o755)
            durable.sync(self.folder.parent)

    def _write(self, path: Path, said: BaseModel) -> None:
        self.make()
        durable.replace(path, said.model_dump_json(indent=1).encode(), mode=0o644)
