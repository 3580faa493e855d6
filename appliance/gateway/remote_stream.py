"""An answer that another machine writes: read event by event, and passed on only in the shape that is ours."""

import json
from collections.abc import Iterator
from typing import Any, Final, Protocol

from appliance.errors import CancelledError, HakoError, ModelFailedError
from appliance.gateway.stream import DONE, RawStream
from appliance.gateway.waited import Waited
from appliance.inference.client import Place
from appliance.inference.transport import ChildConnection, Stopped

_LONGEST_LINE: Final = 4 << 20


class Call(Protocol):
    """What is told how the answer ended."""

    received: int
    error: BaseException | None

    def close(self) -> None: ...


class _Held(Place):
    def __init__(self, call: Call) -> None:
        self._call = call

    def close(self) -> None:
        self._call.close()


class RemoteStream(RawStream):
    """As an engine's own stream. One that ends without saying that it is done was cut off, and is told as failed."""

    def __init__(self, call: Call, connection: ChildConnection, stopped: Stopped | None, model: str) -> None:
        super().__init__(_Held(call), connection, stopped, Waited(None))
        self._call = call
        self._model = model
        self._is_done = False

    def __iter__(self) -> Iterator[bytes]:
        """Raises CancelledError when stopped or cut, ModelFailedError when the other machine failed."""
        try:
            yield from self._events()
        except HakoError as error:
            self._call.error = error
            raise

    def close(self) -> None:
        if not self._is_done and self._call.error is None:
            self._call.error = CancelledError("closed before its end")
        super().close()

    def _events(self) -> Iterator[bytes]:
        is_finished = False
        for line in self._lines():
            if not line.startswith(b"data:"):
                continue
            data = line[5:].strip()
            if data == DONE:
                self._is_done = True
                yield b"data: [DONE]\n\n"
                return
            event = self._event(data)
            is_finished = is_finished or _finishes(event)
            yield b"data: " + json.dumps(event, ensure_ascii=False).encode("utf-8", "replace") + b"\n\n"
        if not is_finished:
            raise ModelFailedError("remote answer ended in the middle", name=self._model)
        self._is_done = True
        yield b"data: [DONE]\n\n"

    def _lines(self) -> Iterator[bytes]:
        buffer = b""
        for chunk in super().__iter__():
            self._call.received += len(chunk)
            buffer += chunk
            *lines, buffer = buffer.split(b"\n")
            yield from lines
            if len(buffer) > _LONGEST_LINE:
                raise ModelFailedError("remote line too long", name=self._model)
        yield buffer

    def _event(self, data: bytes) -> dict[str, Any]:
        """One chunk. An error object's words are its machine's, so they are left there."""
        try:
            event = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise ModelFailedError("remote event", name=self._model) from error
        if not isinstance(event, dict) or event.get("error") or not isinstance(event.get("choices", []), list):
            raise ModelFailedError("remote event", name=self._model)
        return {**event, "model": self._model}


def _finishes(event: dict[str, Any]) -> bool:
    return any(isinstance(choice, dict) and choice.get("finish_reason") for choice in event.get("choices", []))
