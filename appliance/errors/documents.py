"""Documents that are read."""

from appliance.errors.root import HakoError


class DocumentError(HakoError):
    """A document could not be taken in."""

    code, status = "HK-DOC-001", 422


class UnknownFormatError(DocumentError):
    """A type the box can't read. Params: `name`."""

    code, status = "HK-DOC-010", 415


class EmptyDocumentError(DocumentError):
    """No text in it."""

    code, status = "HK-DOC-011", 422


class DamagedDocumentError(DocumentError):
    """Corrupt, truncated, or not what its name says."""

    code, status = "HK-DOC-012", 422


class DocumentTooLargeError(DocumentError):
    """Over a limit of size, pages, time or memory. Params: `limit`."""

    code, status = "HK-DOC-013", 413


class LockedDocumentError(DocumentError):
    """Protected by a password."""

    code, status = "HK-DOC-014", 422


class BombDocumentError(DocumentError):
    """Unpacks to far more than it is; refused unread."""

    code, status = "HK-DOC-015", 422


class ReaderUnavailableError(DocumentError):
    """The sandboxed reader can't be started, or not be shut in; the document is not at fault."""

    code, status = "HK-DOC-016", 503
