"""A chat model's answer read in a thread of its own, so that who waits for it can be told that it still comes."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from appliance import clock
from appliance.apps import runs
from appliance.closing import Closing
from appliance.errors import CancelledError, by_code
from appliance.gateway.gateway import Gateway
from appliance.gateway.stream import RawStream
from webui.dialects import engine

Left = Callable[[], bool]
Chunk = dict[str, Any]


class EngineRun(Closing):
    """One answer; closing it stops the engine."""

    def __init__(self, gateway: Gateway, model: str, asked: Mapping[str, Any], left: Left) -> None:
        self._left = left  # asked by the reader only: it can't be asked by two threads at once

        def write(sink: runs.Writer) -> None:
            with gateway.open(model, asked, stopped=sink.stopped) as stream:
                sink.on_stop(stream.cut)
                sink.emit("open", stream=stream)
                for chunk in engine.chunks(stream, model):
                    sink.emit("chunk", chunk=chunk)
            sink.emit("done")

        self._writer = runs.write_apart(write)
        self._events = self._follow()

    def opened(self, within_s: float | None) -> RawStream | None:
        """The engine's stream once it has begun to answer; None if it takes longer than `within_s`.

        Raises:
            HakoError: why there is no answer.
        """
        began = clock.monotonic()
        for happened in self._events:
            if happened is not None:
                stream: RawStream = happened.data["stream"]
                return stream
            if within_s is not None and clock.monotonic() - began > within_s:
                return None
        raise CancelledError("no answer was begun")

    def chunks(self) -> Iterator[Chunk | None]:
        """OpenAI's chat completion chunks, up to the last; None now and then while nothing comes.

        Raises:
            HakoError: why it is no whole answer.
        """
        for happened in self._events:
            if happened is None:
                yield None
            elif happened.kind == "chunk":
                yield happened.data["chunk"]

    def close(self) -> None:
        self._writer.stop()

    def _follow(self) -> Iterator[runs.RunEvent | None]:
        for happened in runs.follow(self._writer):
            if self._left():
                raise CancelledError("the client has left")
            if happened is not None and happened.kind == "error":
                raise by_code(happened.data["code"], **happened.data["params"])
            yield happened
