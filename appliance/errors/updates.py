"""Releases of the box."""

from appliance.errors.root import HakoError


class UnhealthyError(HakoError):
    """The box is not well, so it isn't updated. Params: `what`, the code of what is wrong or one word."""

    code, status = "HK-UPD-001", 409


class NoReleaseError(HakoError):
    """There is no release to change to, or back to."""

    code, status = "HK-UPD-002", 409


class ReleaseFloorError(HakoError):
    """Below the security floor. Params: `version`, `counter`, `floor`."""

    code, status = "HK-UPD-003", 409


class ReleaseFailedError(HakoError):
    """A release couldn't be installed. Params: `step`."""

    code, status = "HK-UPD-004", 422


class UpdateTrialError(HakoError):
    """The box is between two releases."""

    code, status = "HK-UPD-005", 503


class IrreversibleError(HakoError):
    """There is no way back from this release, and nobody has agreed to that."""

    code, status = "HK-UPD-006", 409


class LeavingSeenError(HakoError):
    """A connection to the outside was seen, so the release isn't changed."""

    code, status = "HK-UPD-007", 409


class OwnModelError(HakoError):
    """A model that the box itself uses doesn't run, so the release isn't changed. Params: `name`."""

    code, status = "HK-UPD-008", 409


class ReleaseMediumError(HakoError):
    """Root's helper installs releases, and only from where sticks appear; this folder is elsewhere."""

    code, status = "HK-UPD-009", 409


class OtherPublisherError(HakoError):
    """The machine trusts another publisher's releases than the box does. Params: `fingerprint` of the machine's."""

    code, status = "HK-UPD-010", 409


class SystemUnderWayError(HakoError):
    """Another system is on its way into the other slot, or on trial; one thing after the other."""

    code, status = "HK-UPD-011", 409


class SystemBaseError(HakoError):
    """A system's base is newer than the release that runs: it would change the database. Params: `version`."""

    code, status = "HK-UPD-012", 409


class SystemOldError(HakoError):
    """A system is no newer than what this machine has or had. Params: `number`, `highest`."""

    code, status = "HK-UPD-013", 409


class SystemPythonError(HakoError):
    """Installed releases need another Python than a system brings. Params: `python`, `here`."""

    code, status = "HK-UPD-014", 409


class SystemBaseOldError(HakoError):
    """A system's base is older than the one of the system that runs. Params: `version`, `here`."""

    code, status = "HK-UPD-015", 409


class NoOtherSystemError(HakoError):
    """The other slot has no other system that could be gone back to."""

    code, status = "HK-UPD-016", 409
