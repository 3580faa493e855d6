"""The queue: enqueue, claim with a lease, report progress, cancel, retry; all in the database."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import apsw

from appliance import clock
from appliance.errors import CancelledError, HakoError
from appliance.storage.database import Database

State = Literal["waiting", "running", "done", "failed", "cancelled"]

LEASE_S = 60.0
MAX_ATTEMPTS = 3
"""Starts of one job before it counts as failed: a job whose worker died twice is probably what kills it."""

_COLUMNS = (
    "id, kind, payload, state, stage, done, total, cancel, attempts, error_code, error_params, created_at, started_at"
)


@dataclass(frozen=True)
class Job:
    """A row of the queue. `done` of `total` units of `stage`; times in seconds since the epoch."""

    id: str
    kind: str
    payload: dict[str, Any]
    state: State
    stage: str
    done: int
    total: int
    cancel: bool
    attempts: int
    error_code: str | None
    error_params: dict[str, Any]
    created_at: float
    started_at: float | None


def _job(row: tuple[Any, ...]) -> Job:
    return Job(
        id=row[0],
        kind=row[1],
        payload=json.loads(row[2]),
        state=row[3],
        stage=row[4],
        done=row[5],
        total=row[6],
        cancel=bool(row[7]),
        attempts=row[8],
        error_code=row[9],
        error_params=json.loads(row[10]) if row[10] else {},
        created_at=row[11],
        started_at=row[12],
    )


class Queue:
    """Jobs of every kind. A worker that dies loses its lease, and the job is claimed again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def enqueue(
        self, kind: str, payload: Mapping[str, Any], *, key: str | None = None, owner_id: str | None = None
    ) -> str:
        """Add a job; with a `key`, an unfinished job of that key is returned instead, a finished one replaced."""
        with self._database.write() as connection:
            return self.enqueue_in(connection, kind, payload, key=key, owner_id=owner_id)

    @staticmethod
    def enqueue_in(
        connection: apsw.Connection,
        kind: str,
        payload: Mapping[str, Any],
        *,
        key: str | None = None,
        owner_id: str | None = None,
        rank: int = 0,
    ) -> str:
        """`enqueue` inside the caller's transaction, so that a record and its job appear together.

        Of the jobs that wait the lowest `rank` comes first, whatever came earlier.
        """
        if key is not None:
            unfinished = connection.execute(
                "select id from jobs where key = ? and state in ('waiting', 'running') and not cancel", (key,)
            ).get
            if unfinished:
                return str(unfinished)
            connection.execute("delete from jobs where key = ?", (key,))
        job_id, now = clock.new_id("job"), clock.now()
        connection.execute(
            "insert into jobs (id, kind, payload, key, owner_id, state, not_before, created_at, rank)"
            " values (?, ?, ?, ?, ?, 'waiting', ?, ?, ?)",
            (job_id, kind, json.dumps(payload), key, owner_id, now, now, rank),
        )
        return job_id

    def claim(self, kinds: Iterable[str], lease_s: float = LEASE_S) -> Job | None:
        """Take the first waiting job of these kinds, by rank and age, or one whose worker let its lease run out."""
        wanted = json.dumps(sorted(kinds))
        now = clock.now()
        due = (
            "kind in (select value from json_each(?)) and ((state = 'waiting' and not_before <= ?)"
            " or (state = 'running' and lease_until < ?))"
        )
        with self._database.read() as connection:  # an idle worker must not take the write lock every second
            if not connection.execute(f"select 1 from jobs where {due} limit 1", (wanted, now, now)).get:
                return None
        with self._database.write() as connection:
            row = connection.execute(
                f"update jobs set state = 'running', lease_until = ?, attempts = attempts + 1, started_at = ?"
                f" where id = (select id from jobs where {due} order by rank, created_at limit 1)"
                f" returning {_COLUMNS}",
                (now + lease_s, now, wanted, now, now),
            ).fetchone()
        return _job(row) if row else None

    def unfinished(self) -> dict[str, int]:
        """How many jobs of each kind wait or run; those that somebody has cancelled are not among them."""
        with self._database.read() as connection:
            rows = connection.execute(
                "select kind, count(*) from jobs where state in ('waiting', 'running') and not cancel group by kind"
            ).fetchall()
        return {str(kind): int(str(count)) for kind, count in rows}

    def waiting(self) -> tuple[int, float | None]:
        """How many jobs nobody has begun, and since when the oldest of them waits (seconds since the epoch)."""
        with self._database.read() as connection:
            rows = connection.execute(
                "select count(*), min(created_at) from jobs where state = 'waiting' and not cancel"
            ).fetchall()
        count, oldest = rows[0]
        return int(str(count)), None if oldest is None else float(str(oldest))

    def report(self, job: Job, stage: str, done: int, total: int, lease_s: float = LEASE_S) -> None:
        """Store progress and renew the lease.

        Raises:
            CancelledError: somebody cancelled the job, or another worker has taken it over; stop at once.
        """
        with self._database.write() as connection:
            row = connection.execute(
                "update jobs set stage = ?, done = ?, total = ?, lease_until = ?"
                " where id = ? and state = 'running' and attempts = ? returning cancel",
                (stage, done, total, clock.now() + lease_s, job.id, job.attempts),
            ).fetchone()
        if row is None or row[0]:
            raise CancelledError(job.id)

    def finish(self, job: Job, state: State = "done", error: HakoError | None = None) -> None:
        """Close a job that this claim still holds; a lost claim changes nothing."""
        with self._database.write() as connection:
            connection.execute(
                "update jobs set state = ?, error_code = ?, error_params = ?, finished_at = ?, lease_until = null"
                " where id = ? and state = 'running' and attempts = ?",
                (
                    state,
                    error.code if error else None,
                    json.dumps(error.params) if error else None,
                    clock.now(),
                    job.id,
                    job.attempts,
                ),
            )

    def postpone(self, job: Job, delay_s: float) -> None:
        """Give a job back for a later try that doesn't count, e.g. while the models are being restarted."""
        with self._database.write() as connection:
            connection.execute(
                "update jobs set state = 'waiting', attempts = attempts - 1, not_before = ?, lease_until = null"
                " where id = ? and state = 'running' and attempts = ?",
                (clock.now() + delay_s, job.id, job.attempts),
            )

    def recover(self) -> int:
        """Give back what a worker that is gone had claimed; for the only worker's start."""
        with self._database.write() as connection:
            connection.execute("update jobs set state = 'waiting', lease_until = null where state = 'running'")
            return connection.changes()

    def cancel(self, key: str) -> bool:
        """Cancel the unfinished job of this key; True if it had not started and is gone already."""
        with self._database.write() as connection:
            return self.cancel_in(connection, key)

    @staticmethod
    def cancel_in(connection: apsw.Connection, key: str) -> bool:
        """`cancel` inside the caller's transaction."""
        connection.execute("update jobs set cancel = 1 where key = ? and state = 'running'", (key,))
        connection.execute(
            "update jobs set state = 'cancelled', finished_at = ? where key = ? and state = 'waiting'",
            (clock.now(), key),
        )
        return bool(connection.changes())

    def by_key(self, key: str) -> Job | None:
        """The newest job of a key."""
        return self.by_keys([key]).get(key)

    def by_keys(self, keys: Iterable[str]) -> dict[str, Job]:
        """The jobs of these keys, for lists that show progress."""
        with self._database.read() as connection:
            rows = connection.execute(
                f"select key, {_COLUMNS} from jobs where key in (select value from json_each(?))",
                (json.dumps(list(keys)),),
            ).fetchall()
        return {str(row[0]): _job(row[1:]) for row in rows}
