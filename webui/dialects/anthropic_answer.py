"""An answer as Anthropic's message: its events in their fixed order, and the whole that they add up to."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from appliance import clock
from webui.dialects.stops import Stops
from webui.sse import Event

_THINKING: Final = "thinking"
_REASONS: Final = {"length": "max_tokens", "tool_calls": "tool_use"}


class MessageWriter:
    """Writes one message; `message` is what its events have told so far."""

    def __init__(self, model: str) -> None:
        self.message: dict[str, Any] = {
            "id": clock.new_id("msg"),
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage(0, 0),
        }
        self._started = False
        self._open: dict[str, Any] | None = None
        self._arguments = ""

    def start(self, prompt_tokens: int = 0) -> Iterator[Event]:
        """The message's head, once. `prompt_tokens` is 0 while the engine has not told it; the end tells it again."""
        if not self._started:
            self._started = True
            self.message["usage"] = usage(prompt_tokens, 0)
            yield _event("message_start", message={**self.message, "content": []})

    def text(self, piece: str) -> Iterator[Event]:
        """A piece of text, in the open block of text or in a new one."""
        if self._open is None or self._open["type"] != "text":
            yield from self._begin({"type": "text", "text": ""})
        if piece and self._open is not None:
            self._open["text"] += piece
            yield self._delta({"type": "text_delta", "text": piece})

    def thought(self, piece: str) -> Iterator[Event]:
        """A piece of what the model thinks before it answers, in a block of its own."""
        if self._open is None or self._open["type"] != _THINKING:
            yield from self._begin({"type": _THINKING, "thinking": "", "signature": ""})
        if piece and self._open is not None:
            self._open["thinking"] += piece
            yield self._delta({"type": "thinking_delta", "thinking": piece})

    def call(self, call_id: str, name: str) -> Iterator[Event]:
        """The head of a tool call; its arguments follow."""
        yield from self._begin({"type": "tool_use", "id": call_id or clock.new_id("toolu"), "name": name, "input": {}})

    def arguments(self, piece: str) -> Iterator[Event]:
        """A piece of the open call's arguments, which are JSON as a whole only."""
        if piece:
            self._arguments += piece
            yield self._delta({"type": "input_json_delta", "partial_json": piece})

    def end(self, reason: str, counts: Mapping[str, int], stop: str | None = None, **more: Any) -> Iterator[Event]:
        """Why it ended and the counts; `more` stands beside them. An answer without a word has one empty text."""
        if all(block["type"] == _THINKING for block in self.message["content"]):
            yield from self.text("")
        yield from self._close()
        self.message |= {"stop_reason": reason, "stop_sequence": stop, "usage": dict(counts), **more}
        yield _event("message_delta", delta={"stop_reason": reason, "stop_sequence": stop}, usage=dict(counts), **more)
        yield _event("message_stop")

    def _begin(self, block: dict[str, Any]) -> Iterator[Event]:
        yield from self._close()
        content = self.message["content"]
        content.append(block)
        self._open, self._arguments = block, ""
        yield _event("content_block_start", index=len(content) - 1, content_block=dict(block))
        if len(content) == 1:
            yield _event("ping")

    def _close(self) -> Iterator[Event]:
        if self._open is None:
            return
        if self._open["type"] == "tool_use":
            self._open["input"] = _object(self._arguments)
        elif self._open["type"] == _THINKING:
            # Clients send it back as it is; the box does not look at it, but they refuse a thought without one.
            self._open["signature"] = clock.new_id("sig")
            yield self._delta({"type": "signature_delta", "signature": self._open["signature"]})
        self._open = None
        yield _event("content_block_stop", index=len(self.message["content"]) - 1)

    def _delta(self, delta: dict[str, Any]) -> Event:
        return _event("content_block_delta", index=len(self.message["content"]) - 1, delta=delta)


class Translation:
    """An engine's chunks in OpenAI's words as a message's events."""

    def __init__(self, model: str, stop_sequences: Sequence[str]) -> None:
        self._writer = MessageWriter(model)
        self._stops = Stops(stop_sequences)
        self._prompt_tokens = 0
        self._tokens = 0
        self._finish = "stop"
        self._call: int | None = None

    @property
    def message(self) -> dict[str, Any]:
        """The whole message once the events have ended."""
        return self._writer.message

    def events(self, chunks: Iterator[dict[str, Any]]) -> Iterator[Event]:
        """The events as the chunks come; ends early, without reading on, where a stop sequence was met."""
        for chunk in chunks:
            self._count(chunk)
            for choice in chunk.get("choices", ()):
                self._finish = choice.get("finish_reason") or self._finish
                yield from self._delta(choice.get("delta") or {})
            if self._stops.found is not None:
                break
        yield from self._end()

    def _count(self, chunk: dict[str, Any]) -> None:
        """The counts so far; an engine that tells them with each token knows them also where the answer is cut."""
        if timings := chunk.get("timings"):
            self._prompt_tokens = int(timings.get("prompt_n") or 0) + int(timings.get("cache_n") or 0)
            self._tokens = int(timings.get("predicted_n") or 0)
        if told := chunk.get("usage"):
            self._prompt_tokens = int(told.get("prompt_tokens") or 0)
            self._tokens = int(told.get("completion_tokens") or 0)

    def _delta(self, delta: dict[str, Any]) -> Iterator[Event]:
        if thought := delta.get("reasoning_content"):
            yield from self._writer.start(self._prompt_tokens)
            yield from self._writer.thought(thought)
        if content := delta.get("content"):
            yield from self._text(self._stops.feed(content))
        for part in delta.get("tool_calls") or ():
            function = part.get("function") or {}
            index = int(part.get("index", 0))
            if index != self._call:
                self._call = index
                yield from self._text(self._stops.rest())
                yield from self._writer.start(self._prompt_tokens)
                yield from self._writer.call(part.get("id") or "", function.get("name") or "")
            yield from self._writer.arguments(function.get("arguments") or "")

    def _text(self, piece: str) -> Iterator[Event]:
        if piece:
            yield from self._writer.start(self._prompt_tokens)
            yield from self._writer.text(piece)

    def _end(self) -> Iterator[Event]:
        stop = self._stops.found
        if stop is None:
            yield from self._text(self._stops.rest())
        yield from self._writer.start(self._prompt_tokens)
        reason = "stop_sequence" if stop is not None else _REASONS.get(self._finish, "end_turn")
        if reason == "end_turn" and self._call is not None:
            reason = "tool_use"
        yield from self._writer.end(reason, usage(self._prompt_tokens, self._tokens), stop)


def usage(prompt_tokens: int, tokens: int) -> dict[str, int]:
    """Token counts; what the engine had kept from an earlier prompt counts as read."""
    return {
        "input_tokens": prompt_tokens,
        "output_tokens": tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
    }


def _event(kind: str, **data: Any) -> Event:
    return Event(kind, {"type": kind, **data})


def _object(arguments: str) -> dict[str, Any]:
    """A call's arguments; none where a length cut left half of them."""
    try:
        found = json.loads(arguments or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
