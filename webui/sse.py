"""Server-sent events: framing, heartbeats, a cap on open streams, and an end when the reader leaves."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Response

from appliance.clock import monotonic
from appliance.closing import Closing
from appliance.errors import BusyError

HEARTBEAT_S = 10.0
_RETRY_AFTER_S = 5
_HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}


@dataclass(frozen=True)
class Event:
    """One event; `number` lets a reader that comes back ask for what follows it."""

    kind: str
    data: Mapping[str, Any]
    number: int | None = None

    def frame(self) -> bytes:
        """The event on the wire. JSON has no raw line break, so one `data:` line is enough."""
        number = "" if self.number is None else f"id: {self.number}\n"
        body = json.dumps(self.data, ensure_ascii=False, separators=(",", ":"))
        return f"{number}event: {self.kind}\ndata: {body}\n\n".encode("utf-8", "replace")


@dataclass(frozen=True)
class Comment:
    """A line that readers of events pass over and people who look at the wire understand."""

    text: str

    def frame(self) -> bytes:
        """The comment on the wire."""
        return f": {self.text}\n\n".encode()


PING = Comment("ping")
HEARTBEAT = PING.frame()


class Places:
    """How many requests may hold a thread for long: in all, of one person, and of one program of theirs.

    Kept below the number of threads, so that ordinary requests always find one.
    """

    def __init__(self, total: int, per_person: int | None = None) -> None:
        self.total = total
        self.per_person = per_person or max(2, total // 2)
        self._per_key = self.per_person - max(1, self.per_person // 8)
        """No program takes all of its owner's places: the browser and other programs find one."""
        self._taken: Counter[str] = Counter()
        self._of_keys: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, person: str, key: str = "") -> "Place":
        """A place, to be closed after use. `key`: the id of the key that asks; empty for a browser.

        Raises:
            BusyError: all are taken, or this person or key holds a fair share already.
        """
        with self._lock:
            is_full = self._taken.total() >= self.total or self._taken[person] >= self.per_person
            if is_full or (key and self._of_keys[key] >= self._per_key):
                raise BusyError(retry_after_s=_RETRY_AFTER_S)
            self._taken[person] += 1
            if key:
                self._of_keys[key] += 1
        return Place(self, person, key)

    def give_back(self, person: str, key: str = "") -> None:
        with self._lock:
            for taken, name in ((self._taken, person), (self._of_keys, key)):
                taken[name] -= 1
                if taken[name] <= 0:
                    del taken[name]

    @property
    def taken(self) -> int:
        with self._lock:
            return self._taken.total()


class Place(Closing):
    """One taken place; closing it twice is harmless."""

    def __init__(self, places: Places, person: str, key: str = "") -> None:
        self._places = places
        self._person, self._key = person, key
        self._open = True

    def close(self) -> None:
        if self._open:
            self._open = False
            self._places.give_back(self._person, self._key)


class Body:
    """A response body that is always closed, even if it was never read.

    A generator that was never started doesn't run its `finally`, and a server that loses its client
    before the first byte would leak the place; an object with `close()` doesn't.
    """

    def __init__(self, chunks: Iterator[bytes], *closers: Callable[[], object]) -> None:
        self._chunks = chunks
        self._closers = closers
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._chunks)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            close_chunks = getattr(self._chunks, "close", None)
            if close_chunks is not None:
                close_chunks()
        finally:
            for closer in self._closers:
                closer()


def frames(events: Iterator[Event | Comment | None], left: Callable[[], bool]) -> Iterator[bytes]:
    """Events as bytes; `None` from the source is a moment without news, used for heartbeat and farewell.

    The comment at the start makes a browser's stream count as open before the first event.
    """
    yield HEARTBEAT
    last = monotonic()
    for event in events:
        if left():
            return
        if event is not None:
            yield event.frame()
            last = monotonic()
        elif monotonic() - last >= HEARTBEAT_S:
            yield HEARTBEAT
            last = monotonic()


def response(chunks: Iterator[bytes], *closers: Callable[[], object]) -> Response:
    """An event stream from chunks; the closers run when it ends, however it ends."""
    return Response(Body(chunks, *closers), headers=_HEADERS)
