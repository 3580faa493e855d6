"""Time and ids as functions in one place, so that tests own both."""

import secrets
import time
from datetime import UTC, datetime

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def now() -> float:
    """Seconds since the epoch, as every record stores them."""
    return time.time()


def monotonic() -> float:
    """Seconds for measuring durations."""
    return time.monotonic()


def iso(at: float) -> str:
    """RFC 3339 in UTC, as the API writes every time."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new_id(prefix: str) -> str:
    """An unguessable id with 100 random bits, e.g. `doc_4k3…`."""
    return prefix + "_" + "".join(secrets.choice(_ALPHABET) for _ in range(20))
