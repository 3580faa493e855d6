"""An engine's chunks put together as one completion, and a documents' answer cut into chunks: OpenAI's two shapes."""

import json
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

from appliance import clock
from appliance.errors import CancelledError, HakoError
from webui import errors, sse
from webui.locales import Language

_HEAD: Final = ("id", "created", "system_fingerprint")


class Assembly:
    """Collects the chunks of one choice into a `chat.completion`."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._head: dict[str, Any] = {}
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[int, dict[str, Any]] = {}
        self._logprobs: list[dict[str, Any]] = []
        self._with_logprobs = False
        self._finish = "stop"
        self._usage: dict[str, Any] = {}

    def add(self, event: dict[str, Any]) -> None:
        """Take the next chunk in."""
        self._head = self._head or {name: event[name] for name in _HEAD if name in event}
        if event.get("usage"):
            self._usage = event["usage"]
        for choice in event.get("choices", ()):
            if choice.get("finish_reason"):
                self._finish = choice["finish_reason"]
            if choice.get("logprobs"):
                self._with_logprobs = True
                self._logprobs.extend(choice["logprobs"].get("content") or ())
            self._add_delta(choice.get("delta") or {})

    def _add_delta(self, delta: dict[str, Any]) -> None:
        if delta.get("content"):
            self._text.append(delta["content"])
        if delta.get("reasoning_content"):
            self._reasoning.append(delta["reasoning_content"])
        for part in delta.get("tool_calls") or ():
            call = self._calls.setdefault(
                int(part.get("index", 0)), {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
            )
            call["id"] = part.get("id") or call["id"]
            function = part.get("function") or {}
            call["function"]["name"] += function.get("name") or ""
            call["function"]["arguments"] += function.get("arguments") or ""

    def completion(self) -> dict[str, Any]:
        """The whole answer."""
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self._text), "refusal": None}
        if self._reasoning:
            message["reasoning_content"] = "".join(self._reasoning)
        if self._calls:
            message["tool_calls"] = [self._calls[index] for index in sorted(self._calls)]
            message["content"] = message["content"] or None
        logprobs = {"content": self._logprobs, "refusal": None} if self._with_logprobs else None
        choice = {"index": 0, "finish_reason": self._finish, "message": message, "logprobs": logprobs}
        return {
            "id": self._head.get("id") or clock.new_id("chatcmpl"),
            "object": "chat.completion",
            "created": self._head.get("created") or int(time.time()),
            "model": self._model,
            "system_fingerprint": self._head.get("system_fingerprint"),
            "choices": [choice],
            "usage": self._usage,
        }


class Chunks:
    """Writes chunks that all share one id and time."""

    def __init__(self, model: str) -> None:
        self.frame = {
            "id": clock.new_id("chatcmpl"),
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": None,
        }

    def delta(self, delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
        """One chunk with one choice."""
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return {**self.frame, "choices": [choice], **more}

    def usage(self, usage: dict[str, Any]) -> dict[str, Any]:
        """The chunk without a choice that carries the counts."""
        return {**self.frame, "choices": [], "usage": usage}


def event(content: dict[str, Any]) -> bytes:
    """An object as a server-sent event."""
    return b"data: " + json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def renamed(stream: Iterable[bytes], model: str) -> Iterator[bytes]:
    """An engine's event stream, where its chunks call the model as the client did: by an alias, for example."""
    buffer = b""
    for part in stream:
        buffer += part
        *lines, buffer = buffer.split(b"\n")
        yield b"".join(_renamed(line, model) + b"\n" for line in lines)
    yield buffer


def _renamed(line: bytes, model: str) -> bytes:
    try:
        chunk = json.loads(line.removeprefix(b"data:")) if line.startswith(b"data:") else None
    except ValueError:
        return line  # the end
    if not isinstance(chunk, dict) or "model" not in chunk:
        return line
    return event({**chunk, "model": model}).rstrip(b"\n")


def framed(
    chunks: Iterator[dict[str, Any] | sse.Comment | None], language: Language, before: Iterable[sse.Comment] = ()
) -> Iterator[bytes]:
    """Chunks on the wire; None is a moment without one, and an error in the middle becomes OpenAI's error event.

    `before`: what is told until there are any.
    """
    try:
        for comment in before:
            yield comment.frame()
        for chunk in chunks:
            if chunk is None:
                yield sse.HEARTBEAT
            else:
                yield chunk.frame() if isinstance(chunk, sse.Comment) else event(chunk)
        yield DONE
    except CancelledError:
        return
    except HakoError as error:
        yield event(errors.openai_body(error, error.status, language))
