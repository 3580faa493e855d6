"""Backups as an operator deals with them: make one, list, verify and rehearse them, and have them made by the clock."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from appliance import clock
from appliance.backup import checking, making, rehearsing
from appliance.backup.manifest import Snapshot
from appliance.backup.putting import Derive
from appliance.backup.repository import Repository
from appliance.config import Settings
from appliance.errors import (
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
_PATH_CHARS: Final = 4096
_FOLDERS: Final = 20
_AGAIN_S: Final = 3600.0
"""A backup by the clock that failed is tried again after this long, or the settings' hours if those are fewer."""


@dataclass(frozen=True)
class Listed:
    """A snapshot in a list; None for what can't be read of it."""

    id: str
    snapshot: Snapshot | None
    error: HakoError | None


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

    # -- by the clock

    def state(self) -> State:
        """Whether the backups that the settings ask for are made."""
        wish, last = self._settings.backup, self.last().get("create", {})
        if not wish.hours:
            return "off"
        if last.get("code", CancelledError.code) != CancelledError.code:
            return "failed"
        made = self.made_at()
        if made is None:
            return "waiting"
        return "late" if clock.now() - made > 2 * wish.hours * 3600 else "ok"

    def tick(self) -> bool:
        """Ask for a backup if one is due; whether that was so. A failure is noted as that of the job would be."""
        wish = self._settings.backup
        if not wish.hours or wish.folder is None or not self._is_due():
            return False
        try:
            self.start("create", str(wish.folder), BY_CLOCK, keep=wish.keep)
        except ConflictError:
            return False
        except HakoError as error:
            self.ended("create", BY_CLOCK, wish.folder, error)
        return True

    def _is_due(self) -> bool:
        every, last = self._settings.backup.hours * 3600.0, self.last().get("create")
        if last is None:
            return True
        since = clock.now() - float(last["at"])
        wait = min(every, _AGAIN_S) if last.get("code") else every
        return since >= wait or since < 0  # a clock that was put back is no reason to have no backup

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
            return {"snapshot": made.id, "made_at": made.at, **_figures(made)}
        if action == "verify":
            return asdict(checking.verify(repository, report))
        scratch = self._settings.data_dir / "rehearsal"
        seen = rehearsing.rehearse(repository, self._derive, scratch, report)
        return {**asdict(seen), "counts": seen.counts.model_dump()}

    def ended(self, action: Action, actor: str, folder: Path, outcome: Mapping[str, Any] | HakoError) -> None:
        """Remember and record how it ended."""
        said: dict[str, Any] = {"at": clock.now(), "folder": str(folder), "known": self._known()}
        if isinstance(outcome, HakoError):
            before = self.last().get(action, {})
            said |= {"code": outcome.code, "params": outcome.params, "made_at": before.get("made_at")}
            name = "backup-cancelled" if isinstance(outcome, CancelledError) else "backup-failed"
            self._audit.record(actor, name, folder.name, what=action, code=outcome.code)
        else:
            said |= outcome
            if action == "create":
                said["known"] = [*(each for each in self._known() if each != str(folder)), str(folder)][-_FOLDERS:]
            name = {"create": "backup-made", "verify": "backup-verified", "rehearse": "backup-rehearsed"}[action]
            self._audit.record(actor, name, str(outcome.get("snapshot", "")), folder=folder.name)
        settings_store.put(self._database, _LAST, {**self.last(), action: said})

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
