"""Token buckets in the database: how often something may be tried, over restarts and over all processes."""

import math
from typing import Final

import apsw

from appliance import clock
from appliance.errors import TooManyTriesError
from appliance.storage.database import Database

_ROUNDING_S: Final = 1e-5  # what a difference of two times since the epoch can be off by


class Throttle:
    """A bucket is stored as the time at which it will be full again; one that is full has no row."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, bucket: str, capacity: int, per_s: float) -> float:
        """Take one of `capacity` tokens, refilled evenly over `per_s` seconds; what is left, with the part of the next.

        Raises:
            TooManyTriesError: none is left; `retry_after_s`, a whole number of at least 1, says when one will be.
        """
        now, each = clock.now(), per_s / capacity
        with self._database.write() as connection:
            _sweep(connection, now)
            missing = _missing_s(connection, bucket, now, per_s)
            wait = missing + each - per_s
            if wait <= _ROUNDING_S:
                missing += each
            connection.execute("insert or replace into throttle values (?, ?)", (bucket, now + missing))
        if wait > _ROUNDING_S:
            raise TooManyTriesError(bucket.partition(":")[0], retry_after_s=max(1, math.ceil(wait)))
        return round(capacity - missing / each, 3)

    def left(self, bucket: str, capacity: int, per_s: float) -> float:
        """Tokens in the bucket now, with the part of the next one."""
        with self._database.read() as connection:
            missing = _missing_s(connection, bucket, clock.now(), per_s)
        return round(capacity - missing * capacity / per_s, 3)

    def clear(self, bucket: str) -> None:
        """Fill the bucket, e.g. after the right password."""
        with self._database.write() as connection:
            connection.execute("delete from throttle where bucket = ?", (bucket,))

    def sweep(self) -> None:
        """Drop buckets that are full again; `take` does it too, so that names tried once don't pile up."""
        with self._database.write() as connection:
            _sweep(connection, clock.now())


def _sweep(connection: apsw.Connection, now: float) -> None:
    connection.execute("delete from throttle where full_at <= ?", (now,))


def _missing_s(connection: apsw.Connection, bucket: str, now: float, per_s: float) -> float:
    """Seconds until the bucket is full; never more than `per_s`, even when the clock was set back."""
    full_at = connection.execute("select full_at from throttle where bucket = ?", (bucket,)).get
    return 0.0 if full_at is None else min(max(full_at - now, 0.0), per_s)
