"""Asks for the password once more before what must not be done by somebody who found an open browser."""

from typing import Final

from appliance.accounts.users import User
from appliance.errors import WrongPasswordError
from webui.routing import Call

_TRIES: Final = 5
_PER_S: Final = 60.0


def verified(call: Call, password: str) -> User:
    """The person, who has given their own password again.

    Raises:
        WrongPasswordError: another one; with the tries that are left.
        ThrottledError: too many of them.
    """
    services, bucket = call.services, f"password:{call.user_id}"
    services.throttle.take(bucket, _TRIES, _PER_S)
    try:
        user = services.users.verify(call.who.name, password)
    except WrongPasswordError:
        raise WrongPasswordError(tries_left=int(services.throttle.left(bucket, _TRIES, _PER_S))) from None
    services.throttle.clear(bucket)
    return user


def demand(call: Call, password: str) -> None:
    """As `verified`; nobody is asked on the admin socket, where the kernel vouches for who it is."""
    if call.who.via != "socket":
        verified(call, password)
