"""One message to the destination of alerts: signed here, handed to the egress process, its answer read no further."""

import hmac
import http.client
import json
import socket
import time
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from appliance import clock
from appliance.errors import (
    DestinationIdentityError,
    DestinationKeyError,
    DestinationUnreachableError,
    EgressAwayError,
    HakoError,
    NotFoundError,
)
from appliance.gateway import egress, far
from appliance.gateway.destinations import Destination

SIGNATURE: Final = "X-Hako-Signature"
"""`t=<seconds since the epoch>,v1=<HMAC-SHA256 in hex over "<t>." and the body>`."""
_WITHIN_S: Final = 15.0
"""For the whole way: the egress process lets go of a slow receiver as soon as nobody waits here."""
_SOCKET_WITHIN_S: Final = 5.0


def post(socket_path: Path, destination: Destination, message: Mapping[str, Any], secret: str | None) -> int:
    """Send a message, and return how many bytes it had.

    Raises:
        EgressAwayError: nobody is there who could send it.
        DestinationUnreachableError: no answer in time, a redirect, or one that isn't a 2xx.
        DestinationKeyError: it doesn't take the signature.
        DestinationIdentityError: another certificate.
        NotFoundError: no longer a destination.
    """
    body = packed(message)
    headers = {"Content-Type": "application/json"}
    if secret is not None:
        headers[SIGNATURE] = signature(secret, body, int(clock.now()))
    connection = _Connection(socket_path)
    try:
        connection.request("POST", f"/{destination.name}{egress.HOOK}", body, headers)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise DestinationUnreachableError(type(error).__name__, name=destination.name) from error
    finally:
        connection.close()
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        raise _refusal(status, destination.name)
    return len(body)


def packed(message: Mapping[str, Any]) -> bytes:
    """As it is sent."""
    return json.dumps(message, separators=(",", ":"), sort_keys=True).encode("ascii")


def signature(secret: str, body: bytes, at: int) -> str:
    """Of a body at a time."""
    digest = hmac.digest(secret.encode(), f"{at}.".encode() + body, "sha256").hex()
    return f"t={at},v1={digest}"


def _refusal(status: int, name: str) -> HakoError:
    kinds: dict[int, type[HakoError]] = {
        HTTPStatus.UNAUTHORIZED: DestinationKeyError,
        HTTPStatus.FORBIDDEN: DestinationKeyError,
        far.WRONG_IDENTITY: DestinationIdentityError,
    }
    if status == egress.NOT_NAMED:
        return NotFoundError("no longer a destination")
    return kinds.get(status, DestinationUnreachableError)(f"status {status}", name=name)


class _Connection(http.client.HTTPConnection):
    """HTTP on a unix socket, which may just be opening."""

    def __init__(self, path: Path) -> None:
        super().__init__("egress", timeout=_WITHIN_S)
        self._path = path

    def connect(self) -> None:
        until = clock.monotonic() + _SOCKET_WITHIN_S
        while True:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(_WITHIN_S)
            try:
                self.sock.connect(str(self._path))
            except OSError as error:
                self.sock.close()
                if clock.monotonic() > until:
                    raise EgressAwayError(type(error).__name__) from error
                time.sleep(0.1)
            else:
                return
