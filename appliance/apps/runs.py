"""Runs: the writing of one answer as a numbered stream of events that is stored while it happens.

The writer is a thread of the web process. Readers follow from any number, so a browser that reconnects, a second
browser and the command line all see the same answer, and closing a tab does not stop it.
"""

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

from appliance import clock, logs
from appliance.errors import (
    BusyError,
    CancelledError,
    DiskFullError,
    HakoError,
    InterruptedRunError,
    NotFoundError,
)
from appliance.storage.database import Database

log = logs.get(__name__)

_STORE_EVERY_S = 0.5
_LIVE_PER_PERSON = 4
_KEEP_LIVE_S = 30.0
"""How long a finished run stays in memory for readers that are still catching up."""
_KEEP_EVENTS_S = 600.0
"""How long its events stay in the database for readers that come back; the message keeps all that they told."""
_LOOK_S = 0.4
"""A reader who has left is noticed within this time, and with one the engine has to stop for within half a second."""
FINAL = frozenset({"done", "error"})


@dataclass(frozen=True)
class RunEvent:
    """One event: `number` from 1 up without gaps, `kind` and JSON `data` as in the API's event stream."""

    number: int
    kind: str
    data: dict[str, Any]


class Writer:
    """The writing end of a run, given to the work."""

    def __init__(self, run_id: str, owner: str = "") -> None:
        self.run_id = run_id
        self.owner = owner
        self.events: list[RunEvent] = []
        self.changed = threading.Condition()
        self.ended_at: float | None = None
        self.stored = threading.Event()
        self._stop = threading.Event()
        self._on_stop: Callable[[], None] | None = None

    def emit(self, kind: str, **data: Any) -> None:
        """Append an event and wake the readers; nothing follows the final one."""
        with self.changed:
            if self.ended_at is not None:
                return
            self.events.append(RunEvent(len(self.events) + 1, kind, data))
            if kind in FINAL:
                self.ended_at = clock.monotonic()
            self.changed.notify_all()

    def stopped(self) -> bool:
        """True once somebody asked this run to stop."""
        return self._stop.is_set()

    def on_stop(self, act: Callable[[], None] | None) -> None:
        """What ends the present wait at once, e.g. closing the engine's stream; called from another thread."""
        self._on_stop = act
        if act and self.stopped():
            act()

    def stop(self) -> None:
        """Ask the work to end."""
        self._stop.set()
        act = self._on_stop
        if act:
            act()

    def check(self) -> None:
        """Raises CancelledError once the run was asked to stop."""
        if self.stopped():
            raise CancelledError(self.run_id)


Work = Callable[[Writer], None]


def write_apart(work: Work) -> Writer:
    """Let `work` write in a thread of its own, stored nowhere: for who asks outside of a chat."""
    writer = Writer(clock.new_id("run"))
    _begin(writer, work)
    return writer


def follow(writer: Writer, after: int = 0) -> Iterator[RunEvent | None]:
    """Events with a number above `after`, up to the final one; None now and then while nothing happens."""
    position = max(after, 0)
    while True:
        with writer.changed:
            if len(writer.events) <= position and writer.ended_at is None:
                writer.changed.wait(timeout=_LOOK_S)
            fresh = writer.events[position:]
            ended = writer.ended_at is not None
        yield from fresh
        position += len(fresh)
        if ended and position >= len(writer.events):
            return
        if not fresh:
            yield None


def _begin(writer: Writer, work: Work) -> None:
    """Write in a thread that knows, like the request that asks for it, where what it records comes from."""
    write = copy_context().run
    threading.Thread(target=write, args=(_write, writer, work), name=writer.run_id, daemon=True).start()


def _write(writer: Writer, work: Work) -> None:
    try:
        work(writer)
    except HakoError as error:
        writer.emit("error", code=error.code, params=error.params)
    except Exception:
        log.exception("run_crashed", run=writer.run_id)
        writer.emit("error", code=HakoError.code, params={})
    if writer.ended_at is None:
        log.error("run_without_end", run=writer.run_id)
        writer.emit("error", code=HakoError.code, params={})


class Runs:
    """Starts, follows and stops runs; the owner's id is asked for in every look-up."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._live: dict[str, Writer] = {}
        self._ended: deque[tuple[float, str]] = deque()
        """Runs whose events are still in the database, by the time they left the memory."""
        self._lock = threading.Lock()

    def start(self, user_id: str, message_id: str, work: Work) -> str:
        """Store the run and let `work` write it in a thread; `work` ends with a `done` or `error` event."""
        run_id = clock.new_id("run")
        forgotten = self._forget()
        with self._database.write() as connection:
            connection.executemany("delete from run_events where run_id = ?", [(old,) for old in forgotten])
            connection.execute(
                "insert into runs (id, user_id, message_id, state, created_at) values (?, ?, ?, 'running', ?)",
                (run_id, user_id, message_id, clock.now()),
            )
        writer = Writer(run_id, user_id)
        with self._lock:
            self._live[run_id] = writer
        _begin(writer, work)
        threading.Thread(target=self._store, args=(writer,), name=run_id + "-store", daemon=True).start()
        return run_id

    def _forget(self) -> list[str]:
        """Let go of finished runs in memory; returns those whose events nobody needs any more."""
        now = clock.monotonic()
        with self._lock:
            for run_id in [run_id for run_id, live in self._live.items() if _is_stale(live)]:
                del self._live[run_id]
                self._ended.append((now, run_id))
            forgotten = []
            while self._ended and now - self._ended[0][0] > _KEEP_EVENTS_S:
                forgotten.append(self._ended.popleft()[1])
        return forgotten

    def _store(self, writer: Writer) -> None:
        stored = 0
        ended = False
        try:
            while not ended:
                with writer.changed:
                    writer.changed.wait_for(lambda: writer.ended_at is not None, timeout=_STORE_EVERY_S)
                    fresh = writer.events[stored:]
                    ended = writer.ended_at is not None
                if fresh or ended:
                    stored += self._append(writer.run_id, fresh, ended=ended)
        except NotFoundError:  # its chat or its person was deleted
            writer.stop()
        except Exception:
            log.exception("events_not_stored", run=writer.run_id)
        finally:
            writer.stored.set()

    def _append(self, run_id: str, events: list[RunEvent], *, ended: bool) -> int:
        """Store events; returns how many: none while there is no room, so that they are tried again with the next.

        Raises:
            NotFoundError: the run is gone.
        """
        rows = [(run_id, event.number, event.kind, json.dumps(event.data)) for event in events]
        try:
            with self._database.write() as connection:
                if not connection.execute("select 1 from runs where id = ?", (run_id,)).get:
                    raise NotFoundError(run_id)
                connection.executemany("insert into run_events (run_id, number, kind, data) values (?, ?, ?, ?)", rows)
                if ended:
                    state = "done" if events and events[-1].kind == "done" else "failed"
                    connection.execute("update runs set state = ? where id = ?", (state, run_id))
        except (BusyError, DiskFullError) as error:
            log.warning("events_not_stored", run=run_id, code=error.code)
            return 0
        return len(events)

    def demand_room(self, user_id: str) -> None:
        """Raises BusyError when this person has as many answers being written as one person may."""
        with self._lock:
            live = [writer for writer in self._live.values() if writer.owner == user_id and writer.ended_at is None]
        if len(live) >= _LIVE_PER_PERSON:
            raise BusyError("answers of one person", retry_after_s=10)

    @property
    def writing(self) -> int:
        """How many answers are being written now."""
        with self._lock:
            return sum(writer.ended_at is None for writer in self._live.values())

    def follow(self, run_id: str, user_id: str | None, after: int = 0) -> Iterator[RunEvent | None]:
        """Events with a number above `after`, up to the final one; None now and then while nothing happens.

        Raises:
            NotFoundError: no such run, or another person's. Raised at the call, not at the first item.
        """
        self._check_owner(run_id, user_id)
        with self._lock:
            writer = self._live.get(run_id)
        return follow(writer, after) if writer else self._follow_stored(run_id, after)

    def _follow_stored(self, run_id: str, after: int) -> Iterator[RunEvent]:
        with self._database.read() as connection:
            rows = connection.execute(
                "select number, kind, data from run_events where run_id = ? and number > ? order by number",
                (run_id, after),
            ).fetchall()
        for number, kind, data in rows:
            yield RunEvent(int(str(number)), str(kind), json.loads(str(data)))

    def stop(self, run_id: str, user_id: str | None) -> None:
        """Ask a run to end; one that has ended already is left as it is."""
        self._check_owner(run_id, user_id)
        with self._lock:
            writer = self._live.get(run_id)
        if writer:
            writer.stop()

    def stop_all(self, user_id: str) -> None:
        """Ask all runs of a person to end: the account was shut or is being deleted."""
        with self._lock:
            writers = [writer for writer in self._live.values() if writer.owner == user_id]
        for writer in writers:
            writer.stop()

    def close(self, wait_s: float = 5.0) -> None:
        """The process is going down: stop every run and wait until what was written is stored."""
        with self._lock:
            writers = list(self._live.values())
        for writer in writers:
            writer.stop()
        until = clock.monotonic() + wait_s
        for writer in writers:
            writer.stored.wait(max(0.0, until - clock.monotonic()))

    def of_message(self, message_id: str) -> str | None:
        """The run that is writing this message now."""
        with self._database.read() as connection:
            found = connection.execute(
                "select id from runs where message_id = ? and state = 'running'", (message_id,)
            ).get
        return str(found) if found else None

    def recover(self) -> int:
        """At start: close answers that a crash cut off, keep what was written so far, drop old events.

        An answer that was being continued keeps what it had before: its row still holds it.
        """
        with self._database.write() as connection:
            cut = connection.execute("select id, message_id from runs where state = 'running'").fetchall()
            for run_id, message_id in cut:
                rows: list[tuple[Any, ...]] = connection.execute(
                    "select kind, data from run_events where run_id = ? order by number", (run_id,)
                ).fetchall()
                text = "".join(json.loads(data)["text"] for kind, data in rows if kind == "delta")
                citations = [json.loads(data) for kind, data in rows if kind == "citation"]
                connection.execute(
                    "update messages set text = text || ?, body = json_set(body, '$.citations', json(?))"
                    " where id = ? and state = 'running'",
                    (text, json.dumps(citations), message_id),
                )
                connection.execute("update runs set state = 'failed' where id = ?", (run_id,))
            # Also one whose run could never be started.
            connection.execute(
                "update messages set state = 'failed',"
                " body = json_set(body, '$.error', json_object('code', ?, 'params', json_object()))"
                " where state = 'running'",
                (InterruptedRunError.code,),
            )
            closed = connection.changes()
            connection.execute("delete from run_events where run_id in (select id from runs where state != 'running')")
        return closed

    def _check_owner(self, run_id: str, user_id: str | None) -> None:
        with self._database.read() as connection:
            found = connection.execute("select user_id from runs where id = ?", (run_id,)).get
        if found is None or found != user_id:
            raise NotFoundError(run_id)


def _is_stale(writer: Writer) -> bool:
    return writer.ended_at is not None and clock.monotonic() - writer.ended_at > _KEEP_LIVE_S
