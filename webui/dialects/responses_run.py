"""A chat model's answer read in a thread of its own, so that who waits for it can be told that it still comes."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from appliance import clock
from appliance.apps import runs
from appliance.closing import Closing
from appliance.errors import CancelledError, by_code
from appliance.gateway.gateway import Gateway
from appliance.gateway.stream import RawStream
from appliance.gateway.waited import Waited
from webui.dialects import engine, opening
from webui.sse import Comment

Left = Callable[[], bool]
Chunk = dict[str, Any]


class EngineRun(Closing):
    """One answer; closing it stops the engine."""

    def __init__(self, gateway: Gateway, model: str, asked: Mapping[str, Any], left: Left) -> None:
        self.waited = Waited()
        self._stream: RawStream | None = None

        def write(sink: runs.Writer) -> None:
            with gateway.open(model, asked, stopped=sink.stopped, waited=self.waited) as stream:
                sink.on_stop(stream.cut)
                sink.emit("open", stream=stream)
                for chunk in engine.chunks(stream, model):
                    sink.emit("chunk", chunk=chunk)
            sink.emit("done")

        self._writer = runs.write_apart(write)
        self._events = followed(self._writer, left)

    @property
    def left_out(self) -> int:
        """Messages that the model did not get; 0 until it has begun to answer."""
        return self._stream.left_out if self._stream else 0

    @property
    def lowered(self) -> Mapping[str, int]:
        """Fields of the request that were above the operator's caps; none until it has begun."""
        return self._stream.lowered if self._stream else {}

    def wait(self, within_s: float | None) -> None:
        """Until the engine has begun to answer, or for `within_s`; less where it is clear that others come first.

        Raises:
            HakoError: why there is no answer.
        """
        began = clock.monotonic()
        for happened in self._events:
            if happened is not None:
                self._stream = happened.data["stream"]
                return
            patience = opening.PATIENCE_S if self.waited.now() else within_s
            if within_s is not None and patience is not None and clock.monotonic() - began > patience:
                return
        raise CancelledError("no answer was begun")

    def chunks(self) -> Iterator[Chunk | Comment | None]:
        """OpenAI's chat completion chunks, up to the last; while nothing comes None, or the place in line.

        Raises:
            HakoError: why it is no whole answer.
        """
        news = opening.News(self.waited)
        for happened in self._events:
            if happened is None:
                yield news.look() if self.waited.now() else None
            elif happened.kind == "open":
                self._stream = happened.data["stream"]
            elif happened.kind == "chunk":
                yield happened.data["chunk"]

    def close(self) -> None:
        self._writer.stop()


def followed(writer: runs.Writer, left: Left) -> Iterator[runs.RunEvent | None]:
    """What happens in work that is done apart; None now and then while nothing does.

    Raises:
        CancelledError: the client has left.
        HakoError: why the work failed.
    """
    for happened in runs.follow(writer):
        if left():
            raise CancelledError("the client has left")
        if happened is not None and happened.kind == "error":
            raise by_code(happened.data["code"], **happened.data["params"])
        yield happened
