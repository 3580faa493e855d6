"""Machines outside of the box."""

from appliance.errors.root import HakoError


class DestinationForbiddenError(HakoError):
    """An address that can't be a destination, whatever anybody says. Params: `address`."""

    code, status = "HK-NET-001", 422


class PrivateDestinationError(HakoError):
    """This machine or one of its own network, and nobody said that this is meant. Params: `address`."""

    code, status = "HK-NET-002", 422


class PublicDestinationError(HakoError):
    """An address of the internet, and nobody said that the gap should be opened. Params: `address`."""

    code, status = "HK-NET-003", 422


class DestinationUnreachableError(HakoError):
    """The destination doesn't answer, sends elsewhere or doesn't speak the API. Params: `name`."""

    code, status = "HK-NET-004", 502


class DestinationKeyError(HakoError):
    """The destination doesn't take the key that was stored for it. Params: `name`."""

    code, status = "HK-NET-005", 502


class DestinationIdentityError(HakoError):
    """Who answers can't show the certificate that was named; nothing was sent. Params: `name`."""

    code, status = "HK-NET-006", 502


class ElsewhereError(HakoError):
    """Something that only the machine can do that a model runs on. Params: `name`."""

    code, status = "HK-NET-007", 400


class DestinationsDamagedError(HakoError):
    """The list of destinations is there and can't be read; none is used, and none is added. Params: `name`."""

    code, status = "HK-NET-008", 500


class EgressAwayError(HakoError):
    """The only process that may reach other machines isn't there: root hasn't allowed it, or it is starting."""

    code, status = "HK-HLT-060", 503


class WayOutError(HakoError):
    """Systemd doesn't open or shut what named destinations are reached by."""

    code, status = "HK-NET-012", 500


class AlertsNamedError(HakoError):
    """There is a destination for alerts, and there can be only one. Params: `name`."""

    code, status = "HK-BOX-039", 409


class AirgapReportError(HakoError):
    """A file that should be a report of the air gap is none, or is cut off. Params: `name`."""

    code, status = "HK-NET-009", 422


class AirgapSignatureError(HakoError):
    """A report of the air gap was changed after it was signed, or another box has signed it. Params: `name`."""

    code, status = "HK-NET-010", 422


class AirgapOpenError(HakoError):
    """The self-test could leave, or could have. Params: `places`, their names."""

    code, status = "HK-NET-011", 500
