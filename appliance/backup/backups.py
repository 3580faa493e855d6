"""Backups as an operator deals with them: make one, list, verify and rehearse them, and have them made by the clock."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from appliance import clock
from appliance.backup import checking, making, rehearsing
from appliance.backup.manifest import Snapshot
from appliance.backup.putting import Derive
from appliance.backup.repository import Repository
from appliance.backup.schedule import UNASKED_S, Schedule
from appliance.backup.targets import Target, Targets
from appliance.config import Settings
from appliance.errors import (
    BackupDamagedError,
    BackupFolderError,
    BadInputError,
    CancelledError,
    ConflictError,
    HakoError,
    NoBackupError,
)
from appliance.jobs.queue import Job, Queue
from appliance.jobs.worker import Report
from appliance.storage import settings_store
from appliance.storage.audit import Audit
from appliance.storage.database import Database
from appliance.vault.keyring import Keyring

Action = Literal["create", "verify", "rehearse"]
State = Literal["off", "waiting", "ok", "late", "failed"]

KEY: Final = "backup"
"""Of the only job: one at a time."""
BY_CLOCK: Final = "schedule"
"""Who asks for the backups that nobody asks for."""
_LAST: Final = "backup.last"
_SCHEDULE: Final = "backup.schedule"
_MARKS: Final = "backup.marks"
_PATH_CHARS: Final = 4096
_FOLDERS: Final = 20
_MOST_MARKS: Final = 1000


@dataclass(frozen=True)
class Listed:
    """A snapshot in a list; None for what can't be read of it."""

    id: str
    snapshot: Snapshot | None
    error: HakoError | None


@dataclass(frozen=True)
class Newest:
    """The last backup that was made. `at` in seconds since the epoch."""

    id: str
    at: float
    folder: Path


@dataclass(frozen=True)
class Marks:
    """When a snapshot was last read and found whole, and last restored as a rehearsal; seconds since the epoch."""

    verified: float | None = None
    rehearsed: float | None = None


class Backups:
    """Safe to share between threads; web asks, the worker does."""

    def __init__(self, settings: Settings, database: Database, audit: Audit, queue: Queue, derive: Derive) -> None:
        """`derive`: the vault's keys, asked for each time: a rehearsal needs what a restored box would."""
        self._settings, self._database, self._audit, self._queue = settings, database, audit, queue
        self._derive = derive

    def handler(self) -> "BackupJob":
        """What works off the jobs of this service."""
        return BackupJob(self)

    def snapshots(self, folder: str) -> list[Listed]:
        """The snapshots of this box in a folder, the newest first.

        Raises:
            BadInputError: not a path from the root on.
            BackupFolderError, NoBackupError: nothing there.
        """
        repository = self._repository(folder)
        if not repository.exists:
            _demand_folder(repository.folder)
            raise NoBackupError(folder)
        return [_listed(repository, name) for name in repository.ids()]

    def start(self, action: Action, folder: str, actor: str, *, models: bool = False, keep: int = 0) -> Job:
        """Have the worker do it.

        Raises:
            BadInputError: not a path from the root on.
            BackupFolderError: no such folder.
            ConflictError: another one is under way.
        """
        path = plain(folder)
        _demand_folder(path)
        job = self.job()
        if job is not None and job.state in ("waiting", "running"):
            raise ConflictError(name=str(job.payload["folder"]))
        if action == "create":
            self._audit.record(actor, "backup-started", path.name)
        payload = {"action": action, "folder": str(path), "actor": actor, "models": models, "keep": keep}
        self._queue.enqueue(BackupJob.KIND, payload, key=KEY)
        job = self.job()
        if job is None or job.payload != payload:  # somebody was quicker
            raise ConflictError(name=str(job.payload["folder"]) if job else path.name)
        return job

    def job(self) -> Job | None:
        """What is under way, or the last one, with how far it is or how it ended."""
        return self._queue.by_key(KEY)

    def cancel(self) -> None:
        """Stop it; earlier snapshots are whole."""
        self._queue.cancel(KEY)

    def last(self) -> dict[str, dict[str, Any]]:
        """How each action ended the last time: `at`, `snapshot` and figures, or `code` and `params`."""
        found: dict[str, dict[str, Any]] = settings_store.get(self._database, _LAST) or {}
        return found

    def made_at(self) -> float | None:
        """When the last backup was made, in seconds since the epoch."""
        made = self.last().get("create", {}).get("made_at")
        return None if made is None else float(made)

    def newest(self) -> Newest | None:
        """The last one that was made, wherever it went."""
        last = self.last().get("create", {})
        if last.get("made_at") is None or not last.get("made_id"):
            return None
        return Newest(str(last["made_id"]), float(last["made_at"]), Path(str(last["made_in"])))

    def marks(self) -> dict[str, Marks]:
        """What is known of snapshots by their ids: which were verified, and which rehearsed."""
        stored: dict[str, dict[str, Any]] = settings_store.get(self._database, _MARKS) or {}
        return {name: Marks(said.get("verified"), said.get("rehearsed")) for name, said in stored.items()}

    def targets(self) -> list[Target]:
        """Where backups could go: the schedule's folder and the settings', then what is below the places for media."""
        known = [folder for folder in (self.schedule().folder, self._settings.backup.folder) if folder]
        box = Keyring(self._settings.vault_file).identity()
        return Targets(self._settings.storage.media, self._settings.data_dir, box).found(dict.fromkeys(known))

    # -- by the clock

    def schedule(self) -> Schedule:
        """What was set on the page; the settings file's while nothing was."""
        stored = settings_store.get(self._database, _SCHEDULE)
        return Schedule.of(self._settings.backup) if stored is None else Schedule.model_validate(stored)

    def plan(self, wish: Schedule, actor: str) -> None:
        """Set the schedule; from now on the settings file's counts no more.

        Raises:
            BadInputError: not a path from the root on.
            BackupFolderError: no such folder.
        """
        if wish.folder is not None:
            plain(str(wish.folder))
        if wish.is_on and wish.folder is not None:
            _demand_folder(wish.folder)
        plan = wish.model_copy(update={"set_by": actor, "set_at": clock.now()})
        settings_store.put(self._database, _SCHEDULE, plan.model_dump(mode="json"))
        name = wish.folder.name if wish.folder else ""
        self._audit.record(actor, "backup-planned", name, hours=wish.hours, at=wish.at or "", keep=wish.keep)

    def state(self) -> State:
        """Whether backups are made as the schedule says; without one, `late` once the newest is a month old."""
        plan, last, made = self.schedule(), self.last().get("create", {}), self.made_at()
        age = None if made is None else clock.now() - made
        if not plan.is_on:
            return "late" if age is not None and age > UNASKED_S else "off"
        if last.get("code", CancelledError.code) != CancelledError.code:
            return "failed"
        if age is None:
            return "waiting"
        return "late" if age > 2 * plan.every_s else "ok"

    def due_at(self) -> float | None:
        """When the next one by the clock is due, in seconds since the epoch; None without a schedule."""
        plan = self.schedule()
        return plan.due_at(self.last().get("create"), clock.now()) if plan.is_on else None

    def tick(self) -> bool:
        """Ask for a backup if one is due; whether that was so. A failure is noted as that of the job would be."""
        wish, now = self.schedule(), clock.now()
        if not wish.is_on or wish.folder is None or wish.due_at(self.last().get("create"), now) > now:
            return False
        try:
            self.start("create", str(wish.folder), BY_CLOCK, keep=wish.keep)
        except ConflictError:
            return False
        except HakoError as error:
            self.ended("create", BY_CLOCK, wish.folder, error)
        return True

    # -- for the job

    def work(self, payload: Mapping[str, Any], report: Report) -> dict[str, Any]:
        """Do what a job asks for; returns what is to be remembered of it."""
        repository = self._repository(str(payload["folder"]))
        action: Action = payload["action"]
        if action == "create":
            if payload["actor"] == BY_CLOCK and str(repository.folder) in self._known():
                _demand_known(repository)
            wish = making.Wish(bool(payload["models"]), int(payload["keep"]))
            made = making.make(repository, self._settings, self._database, wish, report)
            made_by = {"made_at": made.at, "made_id": made.id, "made_in": str(repository.folder)}
            return {"snapshot": made.id, **made_by, **_figures(made)}
        if action == "verify":
            checked = asdict(checking.verify(repository, report))
            self._mark("verified", checked.pop("ids"), repository.folder)
            return checked
        scratch = self._settings.data_dir / "rehearsal"
        seen = rehearsing.rehearse(repository, self._derive, scratch, report)
        self._mark("rehearsed", [seen.snapshot], repository.folder)
        told = {**asdict(seen), "counts": seen.counts.model_dump()}
        told["made_at"] = told.pop("at")  # `at` is when the work ended
        return told

    def ended(self, action: Action, actor: str, folder: Path, outcome: Mapping[str, Any] | HakoError) -> None:
        """Remember and record how it ended."""
        said: dict[str, Any] = {"at": clock.now(), "folder": str(folder), "known": self._known()}
        if isinstance(outcome, HakoError):
            before = self.last().get(action, {})
            said |= {"code": outcome.code, "params": outcome.params}
            said |= {name: before.get(name) for name in ("made_at", "made_id", "made_in")}
            if isinstance(outcome, BackupDamagedError):
                self._unmark("rehearsed" if action == "rehearse" else "verified", folder)
            name = "backup-cancelled" if isinstance(outcome, CancelledError) else "backup-failed"
            self._audit.record(actor, name, folder.name, what=action, code=outcome.code)
        else:
            said |= outcome
            if action == "create":
                said["known"] = [*(each for each in self._known() if each != str(folder)), str(folder)][-_FOLDERS:]
            name = {"create": "backup-made", "verify": "backup-verified", "rehearse": "backup-rehearsed"}[action]
            self._audit.record(actor, name, str(outcome.get("snapshot", "")), folder=folder.name)
        settings_store.put(self._database, _LAST, {**self.last(), action: said})

    def _mark(self, what: Literal["verified", "rehearsed"], ids: Iterable[str], folder: Path) -> None:
        stored: dict[str, dict[str, Any]] = settings_store.get(self._database, _MARKS) or {}
        for name in ids:
            stored[name] = {**stored.pop(name, {}), what: clock.now(), "folder": str(folder)}
        settings_store.put(self._database, _MARKS, dict(list(stored.items())[-_MOST_MARKS:]))

    def _unmark(self, what: Literal["verified", "rehearsed"], folder: Path) -> None:
        """After damage was found there: nobody can say which of them would still do."""
        stored: dict[str, dict[str, Any]] = settings_store.get(self._database, _MARKS) or {}
        for said in stored.values():
            if said.get("folder") == str(folder):
                said.pop(what, None)
        settings_store.put(self._database, _MARKS, stored)

    def _known(self) -> list[str]:
        """The folders that have a backup of this box."""
        known: list[str] = self.last().get("create", {}).get("known", [])
        return known

    def _repository(self, folder: str) -> Repository:
        return Repository(plain(folder), Keyring(self._settings.vault_file).identity(), self._derive("backup"))


class BackupJob:
    """The handler of `backup` jobs. Payload: `action`, `folder`, `actor`, `models`, `keep`. It can be repeated."""

    KIND: Final = "backup"

    def __init__(self, backups: Backups) -> None:
        self._backups = backups

    def run(self, job: Job, report: Report) -> None:
        """Do it; progress in bytes or objects. Raises as `making.make`, `checking.verify`, `rehearsing.rehearse`."""
        outcome = self._backups.work(job.payload, report)
        self._backups.ended(job.payload["action"], str(job.payload["actor"]), Path(job.payload["folder"]), outcome)

    def closed(self, job: Job, error: HakoError | None) -> None:
        """Record why it ended without a result."""
        if error is not None:
            self._backups.ended(job.payload["action"], str(job.payload["actor"]), Path(job.payload["folder"]), error)


def plain(folder: str) -> Path:
    """A path from the root on. Raises BadInputError."""
    if not folder.startswith("/") or "\0" in folder or ".." in folder.split("/") or len(folder) > _PATH_CHARS:
        raise BadInputError(field="folder")
    return Path(folder)


def _listed(repository: Repository, name: str) -> Listed:
    try:
        return Listed(name, repository.snapshot(name), None)
    except HakoError as error:
        return Listed(name, None, error)


def _demand_folder(path: Path) -> None:
    if not path.is_dir():
        raise BackupFolderError("no such folder", name=path.name)


def _demand_known(repository: Repository) -> None:
    """Where a stick was, its empty mount point may be: by the clock nothing is begun anew on the box's own disk."""
    if not repository.exists:
        raise BackupFolderError("the medium of the last backup isn't there", name=repository.folder.name)


def _figures(made: Snapshot) -> dict[str, Any]:
    models = sum(model.is_whole for model in made.models)
    return {"size": made.size, "new_bytes": made.new_bytes, "missing": made.missing, "models": models}
