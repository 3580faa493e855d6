"""An answer while an engine writes it: its bytes as they come, or its text in pieces with the figures at the end."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from appliance.closing import Closing
from appliance.errors import ModelFailedError
from appliance.gateway.pace import PACE
from appliance.gateway.waited import Waited
from appliance.inference.client import Place
from appliance.inference.refusals import from_engine
from appliance.inference.transport import ChildConnection

Stopped = Callable[[], bool]
DONE = b"[DONE]"


class RawStream(Closing):
    """An engine's event stream, unchanged. Closing it gives the place at the model back."""

    def __init__(self, lease: Place, connection: ChildConnection, stopped: Stopped | None, waited: Waited) -> None:
        """`lease` is closed with it."""
        self._lease, self._connection, self._stopped = lease, connection, stopped
        self.waited = waited
        self.left_out = 0
        """Messages of the chat that the model did not get, since they would not have fitted."""
        self.lowered: dict[str, int] = {}
        """Fields of the request that were above the operator's caps, with what they are now."""

    def __iter__(self) -> Iterator[bytes]:
        """Raises CancelledError when stopped or cut, ModelFailedError when the engine died."""
        for chunk in self._connection.chunks(self._stopped):
            self._lease.wrote(PACE.note(chunk))
            yield chunk

    def cut(self) -> None:
        """End the answer now, from any thread: the engine stops computing."""
        self._connection.cut()

    def close(self) -> None:
        self._connection.close()
        self._lease.close()


def events(chunks: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    """The JSON objects of an event stream up to its `[DONE]`."""
    buffer = b""
    for chunk in chunks:
        buffer += chunk
        *lines, buffer = buffer.split(b"\n")
        for line in lines:
            if not line.startswith(b"data:"):
                continue
            data = line[5:].strip()
            if data == DONE:
                return
            event = json.loads(data)
            if isinstance(event, dict):
                yield event


@dataclass(frozen=True)
class Thought:
    """A piece of what a model thinks before it answers."""

    text: str


class ChatStream(Closing):
    """Iterate once for thoughts and text; the figures are there afterwards, also after a stop."""

    def __init__(self, raw: RawStream, model: str) -> None:
        self._raw = raw
        self._model = model
        self.finish = "stop"
        """Why it ended, in OpenAI's words."""
        self.tokens = 0
        """Written so far, thoughts included; the engine's own count once it has ended."""
        self.thoughts = 0
        """How many of them were thoughts: an engine tells one at a time."""
        self.prompt_tokens: int | None = None
        self.tokens_per_s: float | None = None
        """The engine's own measure, if it gives one."""
        self.left_out = raw.left_out
        """Messages of the chat that the model did not get."""

    def __iter__(self) -> Iterator[str | Thought]:
        """Pieces of text, and thoughts before them, as they come.

        Raises:
            CancelledError: stopped or cut.
            ModelFailedError: the engine died or told of an error in the middle.
        """
        try:
            for event in events(iter(self._raw)):
                if error := event.get("error"):
                    raise from_engine(error if isinstance(error, dict) else {}, self._model)
                self._note(event)
                for choice in event.get("choices", ()):
                    if choice.get("finish_reason"):
                        self.finish = choice["finish_reason"]
                    delta = choice.get("delta", {})
                    if thought := delta.get("reasoning_content"):
                        self.tokens += 1
                        self.thoughts += 1
                        yield Thought(thought)
                    if text := delta.get("content"):
                        self.tokens += 1
                        yield text
        except (ValueError, TypeError, AttributeError) as error:
            raise ModelFailedError(f"engine stream: {error!r}", name=self._model) from error

    def _note(self, event: dict[str, Any]) -> None:
        if usage := event.get("usage"):
            self.tokens = int(usage.get("completion_tokens", self.tokens))
            self.prompt_tokens = int(usage.get("prompt_tokens", 0))
        if timings := event.get("timings"):
            self.tokens_per_s = round(float(timings.get("predicted_per_second") or 0), 1) or None

    def cut(self) -> None:
        """End the answer now, from any thread."""
        self._raw.cut()

    def close(self) -> None:
        self._raw.close()
