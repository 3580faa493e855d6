"""What an API key's scope says of every request, whatever it asks: its dialects, its requests a minute."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from flask import Flask, Response, current_app, g, request

from appliance.accounts.permissions import Principal
from appliance.accounts.scopes import Dialect
from appliance.accounts.throttle import Throttle
from appliance.errors import KeyRateError, KeyScopeError, TooManyTriesError

PER_S: Final = 60.0
_TABLE: Final = "hako-dialects"

Table = Mapping[str, frozenset[Dialect]]
"""Which dialects the paths below each path belong to; the longest one wins."""


@dataclass(frozen=True)
class _Rate:
    """A key's bucket after this request."""

    limit: int
    left: float


def install(app: Flask, table: Table) -> None:
    """Keep the dialects' paths, and tell keys that have a limit how much of it is left."""
    app.extensions[_TABLE] = table

    def tell(response: Response) -> Response:
        rate: _Rate | None = g.get("key_rate")
        if rate is not None:
            response.headers["x-ratelimit-limit-requests"] = str(rate.limit)
            response.headers["x-ratelimit-remaining-requests"] = str(math.floor(rate.left))
            full_in_s = (rate.limit - rate.left) * PER_S / rate.limit
            response.headers["x-ratelimit-reset-requests"] = f"{math.ceil(full_in_s)}s"
        return response

    app.after_request(tell)


def table() -> Table:
    """Of the application that handles this request."""
    found: Table = current_app.extensions[_TABLE]
    return found


def check(throttle: Throttle, who: Principal) -> None:
    """Count this request and look at its path; nothing to do for whoever came without a key.

    Raises:
        KeyRateError: too many requests in the last minute.
        KeyScopeError: the path belongs to no dialect of the key.
    """
    if who.scope.requests_per_minute is not None:
        _take(throttle, f"key:{who.key_id}", who.scope.requests_per_minute)
    if not who.scope.has_dialect(dialects_of(request.path, table())):
        raise KeyScopeError(f"path {request.path[:40]}")


def _take(throttle: Throttle, bucket: str, limit: int) -> None:
    try:
        g.key_rate = _Rate(limit, throttle.take(bucket, limit, PER_S))
    except TooManyTriesError as error:
        g.key_rate = _Rate(limit, throttle.left(bucket, limit, PER_S))
        raise KeyRateError("api key", **error.params) from None


def dialects_of(path: str, table: Table) -> frozenset[Dialect]:
    """The dialects that a path belongs to; none for a path that no program has a use for."""
    below = [known for known in table if f"{path}/".startswith(f"{known}/")]
    return table[max(below, key=len)] if below else frozenset()
