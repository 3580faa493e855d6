"""The audit log."""

from appliance.errors.root import HakoError


class AuditExportError(HakoError):
    """A file that should be an export of an audit log is none, or is cut off. Params: `name`."""

    code, status = "HK-AUD-001", 422


class AuditBrokenError(HakoError):
    """The audit log is not what it was: something was changed, taken out or put back. Params: `count` of findings."""

    code, status = "HK-AUD-002", 500
