"""How far an update is, in one small file outside of the database, and the folders of releases it speaks of.

Only the standard library and `durable`: the launcher reads this, and may be older than the release that it starts.
"""

import dataclasses
import json
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from appliance import durable

BASE: Final = ""
"""The name of the release that the machine was set up with; it lies in no folder of ours."""
BOOTS: Final = 3
"""How often a release on trial may be started before the box goes back by itself."""
MANIFEST: Final = "release.json"
"""Written last: a folder without it was never wholly installed, and is never run."""
STATE: Final = "state"
INCOMING: Final = "incoming"
"""What root brings in before it is installed."""
SYSTEM: Final = "system"
"""What is on its way into a machine's other slot, see `system_state`."""
_SNAPSHOT: Final = "snapshot"
NO_RELEASE: Final = frozenset({STATE, INCOMING, SYSTEM, _SNAPSHOT})
"""Folders beside the releases. Files in them have names that others chose, so none of them is ever run."""
_AGREED: Final = "agreed"
_FILE: Final = "update.json"
_MARK: Final = "migrated"
_SEEN: Final = "checks.json"
_ABOUT: Final = "about.json"


class Phase(StrEnum):
    """Each is on the disk before the next step is taken."""

    IDLE = "idle"
    STAGED = "staged"
    """All files are here and checked; the release is being installed."""
    INSTALLED = "installed"
    WANTED = "wanted"
    """The operator has said so; the box is being stopped."""
    SNAPSHOT = "snapshot"
    """What the box must not lose is copied."""
    SWITCHED = "switched"
    PROBING = "probing"
    """It answers, and is being looked at as a client sees it."""
    COMMITTED = "committed"
    ROLLING_BACK = "rolling-back"
    ROLLED_BACK = "rolled-back"


TRIAL: Final = frozenset({Phase.SWITCHED, Phase.PROBING})
RESTING: Final = frozenset({Phase.IDLE, Phase.STAGED, Phase.INSTALLED, Phase.COMMITTED, Phase.ROLLED_BACK})
"""Nobody waits for anything; a box that is in another phase is between two releases."""


@dataclass(frozen=True)
class Release:
    """One that is or was meant. `name` is its folder; `schema` counts the steps of migration that it knows."""

    name: str = BASE
    version: str = ""
    counter: int = 0
    floor: int = 0
    schema: int = 0
    reads_from: int = 0
    """The oldest release that can work with its database knows so many steps."""
    digest: str = ""
    """Of the bundle's index; empty for the base."""
    publisher: str = ""
    """Fingerprint of the root it was judged by."""
    irreversible: bool = False


@dataclass(frozen=True)
class Update:
    """The state. `reason` says in few words why the last one came to nothing; `actor` who wanted it."""

    phase: Phase = Phase.IDLE
    target: Release = dataclasses.field(default_factory=Release)
    before: str = BASE
    boots_left: int = 0
    reason: str = ""
    actor: str = ""
    recorded: bool = True
    """Whether how it ended is in the record of actions and in the memory of the publisher."""
    times: dict[str, float] = dataclasses.field(default_factory=dict)
    """When each phase of this change began, and `sealed`, when it was found so; seconds since the epoch."""
    until: float = 0.0
    """When the trial is decided at the latest; 0 where it waits for a person, and nobody can tell."""

    @property
    def is_trial(self) -> bool:
        """Whether the release that runs is not yet the box's own."""
        return self.phase in TRIAL


class Places:
    """`root` holds the releases, the links `current` and `previous`, the state and the snapshot."""

    def __init__(self, root: Path, data: Path) -> None:
        self.root, self.data = root, data
        self.snapshot = root / _SNAPSHOT
        # Where releases are root's, what the box itself writes has a folder of its own beside them.
        self._state = root / STATE if (root / STATE).is_dir() else root
        self._mark = self._state / _MARK

    @classmethod
    def of(cls, data: Path) -> "Places":
        """As `releases_dir` in hako.toml says, which is read leniently: it may be meant for a newer release."""
        try:
            said = tomllib.loads((data / "hako.toml").read_text("utf-8")).get("releases_dir")
        except (OSError, ValueError):
            said = None
        return cls(Path(said) if isinstance(said, str) else data / "releases", data)

    @property
    def is_in_use(self) -> bool:
        """Whether the launcher is needed: another release than the base runs here, or an update is on its way."""
        return (self.root / "current").is_symlink() or self.read().phase not in RESTING

    def folder(self, name: str) -> Path:
        """Of one release."""
        return self.root / name

    def is_whole(self, name: str) -> bool:
        """Whether a release can be run; the base always can."""
        is_plain = Path(name).name == name and name not in NO_RELEASE
        return name == BASE or (is_plain and (self.folder(name) / MANIFEST).is_file())

    def python(self, name: str) -> Path:
        """The interpreter of a release with all that it needs; not for the base."""
        return self.folder(name) / "venv" / "bin" / "python"

    def pointed(self, link: str) -> str | None:
        """The name that `current` or `previous` leads to; None without such a link."""
        try:
            return (self.root / link).readlink().name
        except OSError:
            return None

    def release(self, name: str) -> Release | None:
        """A release that is here; None where its folder says nothing of itself."""
        place = self._state / "base.json" if name == BASE else self.folder(name) / MANIFEST
        try:
            return Release(**_known(Release, json.loads(place.read_bytes())))
        except (OSError, ValueError, TypeError, AttributeError):
            return None

    def all(self) -> list[Release]:
        """Those that are wholly installed here, the base not among them."""
        folders = sorted(path.parent for path in self.root.glob(f"*/{MANIFEST}") if not path.parent.is_symlink())
        names = [folder.name for folder in folders if self.is_whole(folder.name)]
        return [release for name in names if (release := self.release(name))]

    def note_base(self, release: Release) -> None:
        """What the base is, told by itself, for the releases after it."""
        durable.replace(self._state / "base.json", json.dumps(dataclasses.asdict(release), indent=1).encode())

    @property
    def current(self) -> str:
        """The release to run; the base where the link leads nowhere."""
        name = self.pointed("current")
        return name if name is not None and self.is_whole(name) else BASE

    def point(self, link: str, name: str) -> None:
        """Let a link lead to a release, at once or not at all; the base is no link."""
        place = self.root / link
        if name == BASE:
            place.unlink(missing_ok=True)
        else:
            fresh = self.root / f"{link}.new"
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(name, target_is_directory=True)
            fresh.rename(place)
        durable.sync(self.root)

    # -- where releases are root's, root has to agree to each change

    def agree(self, name: str) -> None:
        """Root has verified this release, and lets the box change to it."""
        durable.replace(self.root / _AGREED, name.encode())

    def may_become(self, name: str) -> bool:
        """Whether the box may change to a release: where its folder is the box's own, to any."""
        if self._state == self.root:
            return True
        try:
            return (self.root / _AGREED).read_text("utf-8") == name
        except (OSError, ValueError):
            return False

    # -- the state

    def read(self) -> Update:
        """The state as it is now. A file that can't be read counts as none: the release that is current goes on."""
        try:
            return _parsed(json.loads((self._state / _FILE).read_bytes()))
        except (OSError, ValueError, TypeError, AttributeError):
            return Update()

    @contextmanager
    def held(self) -> Iterator["Held"]:
        """Change the state alone; who else wants to waits."""
        with durable.alone(self._state / "update.lock"):
            yield Held(self)

    def write(self, update: Update) -> None:
        """For who holds it."""
        durable.replace(self._state / _FILE, json.dumps(dataclasses.asdict(update), indent=1).encode())

    # -- what is known of a release beside itself

    def note_about(self, name: str, about: dict[str, Any]) -> None:
        """What its bundle said of it; for a release that is installed."""
        durable.replace(self.folder(name) / _ABOUT, json.dumps(about, ensure_ascii=False).encode())

    def about(self, name: str) -> dict[str, Any]:
        """As it was noted; empty where nothing was, as for the base."""
        return _object(self.folder(name) / _ABOUT) if name else {}

    def note_seen(self, seen: dict[str, Any]) -> None:
        """How far the present look at the release on trial is. Where root looks, web reads it."""
        mode = None if self._state == self.root else 0o644
        durable.replace(self.root / _SEEN, json.dumps(seen).encode(), mode=mode)

    def seen(self) -> dict[str, Any]:
        """The last look at a release on trial, also when the trial is over; empty where there was none."""
        return _object(self.root / _SEEN)

    # -- whether a release on trial has touched the schema

    def note_migration(self) -> None:
        """Before the first step of a migration on trial: from here on, going back means the snapshot."""
        if self.read().is_trial and not self._mark.exists():
            durable.replace(self._mark, b"")

    @property
    def has_migrated(self) -> bool:
        return self._mark.exists()

    def forget_migration(self) -> None:
        """Before a trial, and after it."""
        self._mark.unlink(missing_ok=True)
        durable.sync(self._state)

    def forget_seen(self) -> None:
        """Before a trial."""
        (self.root / _SEEN).unlink(missing_ok=True)


class Held:
    """The state while nobody else changes it."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self.now = places.read()

    def change(self, **changes: Any) -> Update:
        """On the disk when this returns, with the time of a new phase. Raises DiskFullError: the old state holds."""
        phase = changes.get("phase", self.now.phase)
        if phase is not self.now.phase:
            begins = phase in (Phase.STAGED, Phase.WANTED)
            before = {} if begins else changes.get("times", self.now.times)
            changes["times"] = {**before, str(phase): time.time()}
        changed = dataclasses.replace(self.now, **changes)
        self._places.write(changed)
        self.now = changed
        return changed


def _parsed(said: dict[str, Any]) -> Update:
    """What a newer release has added is left out."""
    target = Release(**_known(Release, said.get("target") or {}))
    plain = _known(Update, said)
    times = {str(name): float(at) for name, at in (said.get("times") or {}).items()}
    return Update(**{**plain, "phase": Phase(said["phase"]), "target": target, "times": times})


def _object(path: Path) -> dict[str, Any]:
    """A small file of ours that only informs: what can't be read counts as nothing."""
    try:
        said = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _known(shape: type, said: dict[str, Any]) -> dict[str, Any]:
    names = {field.name for field in dataclasses.fields(shape)}
    return {name: value for name, value in said.items() if name in names}
