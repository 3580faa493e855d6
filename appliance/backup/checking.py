"""Reads a repository to the last byte: what is missing or altered is named, and made anew by the next backup."""

from dataclasses import dataclass

from appliance import logs
from appliance.backup.repository import Repository
from appliance.errors import BackupDamagedError, HakoError, NoBackupError
from appliance.jobs.worker import Report

log = logs.get(__name__)


@dataclass(frozen=True)
class Checked:
    """What was read and found sound."""

    ids: tuple[str, ...]
    snapshots: int
    objects: int
    size: int


def verify(repository: Repository, report: Report) -> Checked:
    """Read every object of every snapshot from the medium.

    A damaged object is removed, where the medium can be written: no snapshot is worse off, and the next one brings it
    again as long as the box still has it.

    Raises:
        NoBackupError: there is nothing to read.
        BackupDamagedError: `count` parts are missing or altered.
    """
    needed: dict[str, int] = {}
    names = repository.ids()
    if not names:
        raise NoBackupError(str(repository.folder))
    damaged = 0
    for name in names:
        try:
            needed.update(repository.snapshot(name).objects())
        except HakoError as error:
            log.warning("snapshot_damaged", snapshot=name, code=error.code, detail=error.detail)
            damaged += 1
    size = 0
    for number, (name, most) in enumerate(sorted(needed.items())):
        report("checking", number, len(needed))
        try:
            size += repository.check(name, most)
        except BackupDamagedError as error:
            log.warning("backup_object_damaged", detail=error.detail)
            repository.drop(name)
            damaged += 1
    report("checking", len(needed), len(needed))
    if damaged:
        raise BackupDamagedError(f"{damaged} parts", count=damaged)
    return Checked(tuple(names), len(names), len(needed), size)
