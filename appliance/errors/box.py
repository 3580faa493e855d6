"""The box as a whole, its database and its work."""

from appliance.errors.root import HakoError


class ConfigError(HakoError):
    """The settings file says something the box can't follow. Params: `name`."""

    code, status = "HK-BOX-002", 500


class BadInputError(HakoError):
    """A request that doesn't have the expected shape. Params: `field`."""

    code, status = "HK-BOX-003", 400


class NotFoundError(HakoError):
    """Nothing there that this person may see; also for what exists but belongs to somebody else."""

    code, status = "HK-BOX-004", 404


class TooLargeError(HakoError):
    """Request body over the limit. Params: `limit_mb`."""

    code, status = "HK-BOX-005", 413


class DiskFullError(HakoError):
    """No room to store what was asked; nothing was written."""

    code, status = "HK-BOX-006", 507


class BusyError(HakoError):
    """All places are taken. Params: `retry_after_s`."""

    code, status = "HK-BOX-007", 503


class BoxNotRunningError(HakoError):
    """The command line found no running box."""

    code, status = "HK-BOX-008", 503


class ConflictError(HakoError):
    """Someone else changed it first, or the name is taken. Params: `name`."""

    code, status = "HK-BOX-009", 409


class PrivateFileError(HakoError):
    """A secret's file can be read by others. Params: `name`."""

    code, status = "HK-BOX-010", 500


class NotReadyError(HakoError):
    """A process ended or stayed silent while starting. Params: `name`."""

    code, status = "HK-BOX-011", 500


class WrongHostError(HakoError):
    """Addressed by a name that is not this box's (DNS rebinding)."""

    code, status = "HK-BOX-014", 421


class FrontEndMissingError(HakoError):
    """The built front end is not there; an installation without it is incomplete."""

    code, status = "HK-BOX-013", 500


class TooManyError(HakoError):
    """As many are kept as may be. Params: `limit`."""

    code, status = "HK-BOX-015", 409


class StoreDamagedError(HakoError):
    """A part of the database file does not verify: damaged or altered."""

    code, status = "HK-STO-001", 500


class NewerStoreError(HakoError):
    """The database was written by a newer release than this one."""

    code, status = "HK-STO-002", 500


class NotInitialisedError(HakoError):
    """There is no vault yet."""

    code, status = "HK-BOX-020", 500


class AlreadyRunningError(HakoError):
    """Another box uses this data folder. Params: `name`."""

    code, status = "HK-BOX-021", 409


class PortTakenError(HakoError):
    """Another program listens there. Params: `port`, `name` of its setting."""

    code, status = "HK-BOX-022", 409


class HelperUnreachableError(HakoError):
    """The helper is there, and doesn't answer."""

    code, status = "HK-BOX-023", 503


class HelperAbsentError(HelperUnreachableError):
    """There is no helper: this box runs without units, or its socket was taken away."""

    code, status = "HK-BOX-040", 409


class HelperRefusedError(HakoError):
    """The helper does not do that: not on its list, not in its shape, or not for this process. Params: `reason`."""

    code, status = "HK-BOX-024", 403


class HelperFailedError(HakoError):
    """What the helper was asked for did not work. Params: `verb`."""

    code, status = "HK-BOX-025", 502


class NetworkTrialError(HakoError):
    """A change of the network is on trial already; or none is that could be kept or taken back."""

    code, status = "HK-BOX-028", 409


class NotArrivedError(HakoError):
    """To keep a network on trial the request has to come in by it."""

    code, status = "HK-BOX-029", 409


class CertificateUnreadableError(HakoError):
    """Not PEM, an encrypted key, or a kind of key that browsers refuse. Params: `part`, certificate or key."""

    code, status = "HK-BOX-030", 422


class CertificateKeyError(HakoError):
    """The key is another certificate's."""

    code, status = "HK-BOX-031", 422


class CertificateTimeError(HakoError):
    """Not valid yet, or not any more. Params: `since`, `until`, days."""

    code, status = "HK-BOX-032", 422


class CertificateNameError(HakoError):
    """For none of the names and addresses of this machine. Params: `names`, for which it is."""

    code, status = "HK-BOX-033", 422


class SetupCodeError(HakoError):
    """Not the set-up code on the box's screen. Params: `tries_left`."""

    code, status = "HK-BOX-034", 403


class WrongBoxNameError(HakoError):
    """What was typed is not the name of this machine, and nothing was erased. Params: `name`."""

    code, status = "HK-BOX-035", 422


class PasswordsDifferError(HakoError):
    """A new passphrase that was typed twice is not the same; there is no vault yet."""

    code, status = "HK-BOX-036", 422


class UnitsError(HakoError):
    """The processes of this box have accounts of their own, which only systemd can start them as."""

    code, status = "HK-BOX-027", 409


class AccountError(HakoError):
    """An account that the settings name is not there, or can't be a process's own. Params: `name`."""

    code, status = "HK-BOX-026", 500


class KitFileError(HakoError):
    """The support kit can't be written there. Params: `name`."""

    code, status = "HK-BOX-038", 500


class CancelledError(HakoError):
    """Stopped by the user."""

    code, status = "HK-RUN-001", 409


class InterruptedRunError(HakoError):
    """The box stopped while this answer was being written."""

    code, status = "HK-RUN-002", 503
