"""An engine's stream while its request still stands in line: who streams is told the place in comments meanwhile."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextvars import copy_context
from typing import Any, Final, Protocol

from appliance import clock
from appliance.closing import Closing
from appliance.gateway import caps
from appliance.gateway.stream import RawStream, Stopped
from appliance.gateway.waited import Line, Waited
from webui import sse
from webui.sse import Comment

PATIENCE_S: Final = 1.0
"""A shorter wait ends before the answer begins, so that its status and its headers can still tell everything."""
_TELL_EVERY_S: Final = 5.0
_LOOK_S: Final = 0.2

Begin = Callable[[Stopped, Waited], RawStream]


class Start(Protocol):
    """`Gateway.open` or `Gateway.complete` of who asks."""

    def __call__(self, model: str, body: Mapping[str, Any], *, stopped: Stopped, waited: Waited) -> RawStream: ...


class Opening(Closing):
    """What `begin` opens, in a thread of its own where `apart`. Read it as the stream itself once it has begun."""

    def __init__(self, begin: Begin, left: Stopped, *, apart: bool) -> None:
        self.waited = Waited()
        self._begin, self._left = begin, left
        self._stream: RawStream | None = None
        self._error: BaseException | None = None
        self._is_closed = False
        self._change = threading.Condition()
        self._since = clock.monotonic()
        if apart:
            threading.Thread(target=copy_context().run, args=(self._open,), name="opening", daemon=True).start()
        else:
            self._open()

    @property
    def left_out(self) -> int:
        """Messages of the chat that the model did not get; 0 until it has begun."""
        return self._stream.left_out if self._stream else 0

    @property
    def lowered(self) -> Mapping[str, int]:
        """Fields of the request that were above the operator's caps; none until it has begun."""
        return self._stream.lowered if self._stream else {}

    def wait(self) -> None:
        """Until it has begun, or until it has stood in line for so long that its reader should be told.

        Raises:
            HakoError: why there is no answer.
        """
        with self._change:
            while not self._is_settled() and not self._is_long_in_line():
                self._change.wait(_LOOK_S)
        self._demand()

    def comments(self) -> Iterator[Comment]:
        """The place in line, when it changes and now and then, until the stream has begun.

        Raises:
            HakoError: why there is no answer.
        """
        if self._is_settled():
            return
        news = News(self.waited)
        while not self._is_settled():
            if comment := news.look():
                yield comment
            with self._change:
                if not self._is_settled():
                    self._change.wait(_LOOK_S)
        self._demand()
        if self.left_out:
            yield left_out(self.left_out)
        if self.lowered:
            yield Comment(f"capped {caps.told(self.lowered)}")

    def __iter__(self) -> Iterator[bytes]:
        """The engine's bytes; see `RawStream`."""
        if self._stream is None:
            raise RuntimeError("read before it has begun")
        return iter(self._stream)

    def close(self) -> None:
        with self._change:
            self._is_closed = True
            stream = self._stream
        if stream:
            stream.close()

    def _open(self) -> None:
        stream, failure = None, None
        try:
            stream = self._begin(self._is_over, self.waited)
        except BaseException as error:  # noqa: BLE001 - raised again by who waits for it
            failure = error
        with self._change:
            self._stream, self._error = stream, failure
            is_late = self._is_closed
            self._change.notify_all()
        if stream and is_late:
            stream.close()

    def _is_over(self) -> bool:
        return self._is_closed or self._left()

    def _is_settled(self) -> bool:
        return self._stream is not None or self._error is not None

    def _is_long_in_line(self) -> bool:
        return self.waited.now() is not None and clock.monotonic() - self._since >= PATIENCE_S

    def _demand(self) -> None:
        if self._error is not None:
            raise self._error


def opened(start: Start, model: str, asked: Mapping[str, Any], left: Stopped, *, streams: bool | None) -> Opening:
    """An answer that has begun, or one that stands in line and `streams`. Raises HakoError: why there is none."""
    opening = Opening(
        lambda stopped, waited: start(model, asked, stopped=stopped, waited=waited), left, apart=bool(streams)
    )
    try:
        opening.wait()
    except BaseException:
        opening.close()
        raise
    return opening


def left_out(messages: int) -> Comment:
    """Tells in a stream how many messages of the chat the model did not get."""
    return Comment(f"messages left out={messages}")


class News:
    """Comments about a wait, as often as they are worth a reader's attention."""

    def __init__(self, waited: Waited) -> None:
        self._waited = waited
        self._last: tuple[str, int] | None = None
        self._at = clock.monotonic()

    def look(self) -> Comment | None:
        """What to tell now, if anything."""
        line = self._waited.now()
        key = (line.stage, line.place) if line else None
        is_new = key is not None and key != self._last
        if not is_new and clock.monotonic() - self._at < (_TELL_EVERY_S if line else sse.HEARTBEAT_S):
            return None
        self._last, self._at = key, clock.monotonic()
        return _comment(line) if line else sse.PING


def _comment(line: Line) -> Comment:
    known = "" if line.wait_s is None else f" wait_ms={round(line.wait_s * 1000)}"
    return Comment(f"{'queue' if line.stage == 'queued' else line.stage} position={line.place}{known}")
