"""Backups and restores, and what a person takes along."""

from appliance.errors.root import HakoError


class BackupFolderError(HakoError):
    """The folder of a backup isn't there, or can't be read or written. Params: `name`."""

    code, status = "HK-BAK-001", 422


class NoBackupError(HakoError):
    """The folder holds no backup of this box, or not the one that was named."""

    code, status = "HK-BAK-002", 404


class BackupDamagedError(HakoError):
    """Parts of a backup are missing or altered. Params: `count`."""

    code, status = "HK-BAK-003", 422


class BackupTargetError(HakoError):
    """The place to restore to isn't empty. Params: `name`."""

    code, status = "HK-BAK-004", 409


class BackupRoomError(HakoError):
    """No room on the medium of the backup."""

    code, status = "HK-BAK-005", 507


class OtherBoxError(HakoError):
    """The data folder to restore over belongs to another box than the backup. Params: `name`."""

    code, status = "HK-BAK-006", 409


class SeveralBoxesError(HakoError):
    """The folder holds backups of several boxes, and none was named. Params: `names`."""

    code, status = "HK-BAK-007", 409


class ExportLinkError(HakoError):
    """The link to one's own data was used already, is too old, or another session's."""

    code, status = "HK-BAK-008", 404
