"""Bundles that come by stick, and whom the box trusts."""

from appliance.errors.accounts import ForbiddenError
from appliance.errors.root import HakoError


class BundleUnreadableError(HakoError):
    """A file of a bundle is missing or its medium can't be read."""

    code, status = "HK-BND-001", 422


class BundleSlowError(BundleUnreadableError):
    """The medium hangs or is so slow that it was given up."""

    code = "HK-BND-022"


class BundleSignatureError(HakoError):
    """Too few signatures of keys that count."""

    code, status = "HK-BND-002", 422


class BundleRollbackError(HakoError):
    """Older than what the box has seen."""

    code, status = "HK-BND-003", 409


class BundleStaleError(HakoError):
    """Valid, but past its date."""

    code, status = "HK-BND-004", 409


class BundleExpiredError(HakoError):
    """Past its date already when what the box knows was signed: nobody can accept it."""

    code, status = "HK-BND-023", 409


class BundleDamagedError(HakoError):
    """Not the bytes that were signed for."""

    code, status = "HK-BND-005", 422


class BundleInvalidError(HakoError):
    """Not a bundle of a form that this release understands."""

    code, status = "HK-BND-006", 422


class BundleWrongBoxError(HakoError):
    """The bundle asks for something that this box is not or doesn't have. Params: `need`."""

    code, status = "HK-BND-008", 409


class BundleIncompleteError(HakoError):
    """A thin bundle leaves out parts that this box doesn't have. Params: `base`."""

    code, status = "HK-BND-009", 409


class BundleKindError(HakoError):
    """A bundle of a kind that this release can't take. Params: `kind`."""

    code, status = "HK-BND-010", 409


class NoPublisherError(HakoError):
    """Nobody has said yet which publisher the box trusts."""

    code, status = "HK-BND-011", 409


class FingerprintError(HakoError):
    """A fingerprint that was given is another one than the root's."""

    code, status = "HK-BND-012", 409


class TrustDamagedError(HakoError):
    """The box's memory of its publisher can't be believed."""

    code, status = "HK-BND-007", 500


class CaptureEmptyError(HakoError):
    """No page could be captured. Params: `name`."""

    code, status = "HK-BND-018", 422


class CaptureOtherError(HakoError):
    """The folder holds another capture, or one that has ended. Params: `name`."""

    code, status = "HK-BND-019", 409


class ZimDamagedError(HakoError):
    """A file that should be a ZIM file is none, is cut off or is damaged."""

    code, status = "HK-BND-025", 422


class ZimPackedError(HakoError):
    """A ZIM file is packed with Zstandard, and the package that unpacks it isn't installed."""

    code, status = "HK-BND-026", 501


class WarcDamagedError(HakoError):
    """A file of a web snapshot is not sound. Params: `name`."""

    code, status = "HK-BND-020", 422


class WarcOversizeError(HakoError):
    """More comes out of a file of a web snapshot than a box reads. Params: `name`."""

    code, status = "HK-BND-021", 422


class BasePackedError(ForbiddenError):
    """The documents of a base that came in a bundle are as its maker has signed them."""

    code, status = "HK-BND-013", 403


class PackTooLargeError(HakoError):
    """More or larger documents than this box takes. Params: `limit`."""

    code, status = "HK-BND-014", 413


class BoxUntrustedError(HakoError):
    """A pack of a box that nobody here has said to trust. Params: `box`."""

    code, status = "HK-BND-015", 409


class PackForAnotherError(HakoError):
    """A pack that is encrypted for another box."""

    code, status = "HK-BND-016", 409


class PackUnreadError(HakoError):
    """None of a bundle's documents could be read; what was there before stays."""

    code, status = "HK-BND-017", 422


class TokenUnusableError(HakoError):
    """A hardware token can't sign. Params: `why`: driver, extra, token, key or locked; see the manual."""

    code, status = "HK-BND-024", 409


class RootOnlyError(HakoError):
    """Only root at the machine may do it, and only where root's helper installs releases."""

    code, status = "HK-BND-028", 403


class RootAbsentError(HakoError):
    """No root file with that fingerprint lies where sticks appear. Params: `folders`."""

    code, status = "HK-BND-029", 404


class PublisherTrustedError(HakoError):
    """The machine trusts just that publisher already. Params: `fingerprint`."""

    code, status = "HK-BND-030", 409
