"""Who is asking, and what they may."""

from appliance.errors.root import HakoError


class NotSignedInError(HakoError):
    """No session and no key, or an ended one."""

    code, status = "HK-AUTH-001", 401


class WrongPasswordError(HakoError):
    """Name and password don't belong together. Params: `tries_left`."""

    code, status = "HK-AUTH-002", 401


class ForbiddenError(HakoError):
    """Signed in, but without the permission."""

    code, status = "HK-AUTH-003", 403


class TooManyTriesError(HakoError):
    """Throttled. Params: `retry_after_s`."""

    code, status = "HK-AUTH-004", 429


class WeakPasswordError(HakoError):
    """Too short or too common. Params: `min_length`."""

    code, status = "HK-AUTH-005", 422


class CrossSiteError(HakoError):
    """A request that another site made in the user's name."""

    code, status = "HK-AUTH-006", 403


class SetupLinkError(HakoError):
    """The one-time set-up link was used already or is wrong."""

    code, status = "HK-AUTH-007", 403


class LastOperatorError(HakoError):
    """Without this account nobody could run the box any more."""

    code, status = "HK-AUTH-008", 409


class KeyScopeError(HakoError):
    """An API key was used for something that its scope doesn't hold."""

    code, status = "HK-AUTH-009", 403


class KeyRateError(HakoError):
    """An API key has sent as many requests as its scope allows for now. Params: `retry_after_s`."""

    code, status = "HK-AUTH-010", 429
