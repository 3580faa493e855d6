"""Answers in Ollama's shape: a line of JSON for each piece, figures in the last, or all of it as one object."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from flask import Response

from appliance import clock
from webui import sse
from webui.dialects.ollama_request import Asked, ChatBody

_HEADERS = {"Content-Type": "application/x-ndjson", "X-Accel-Buffering": "no"}
_NS = 1_000_000_000
_NS_OF_MS = 1_000_000


@dataclass(frozen=True)
class Piece:
    """What was written since the last piece."""

    text: str = ""
    thinking: str = ""
    calls: list[dict[str, Any]] = field(default_factory=list)
    logprobs: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Ending:
    """Why and with which figures an answer ended; milliseconds are the engine's own measure, if it gives one."""

    reason: Literal["stop", "length", "load", "unload"]
    prompt_tokens: int = 0
    tokens: int = 0
    prompt_ms: float | None = None
    written_ms: float | None = None
    more: dict[str, Any] = field(default_factory=dict)
    """Of this box, beside Ollama's own fields."""


class Reply:
    """Puts pieces into the words of one request, and keeps the time from then on."""

    def __init__(self, asked: Asked) -> None:
        self.streams = asked.streams
        self._model = asked.model
        self._chat = isinstance(asked, ChatBody)
        self._began = clock.monotonic()
        self._first: float | None = None

    def line(self, piece: Piece) -> dict[str, Any]:
        """A piece on its own."""
        self._first = self._first or clock.monotonic()
        return {**self._head(), **self._said(piece), "done": False}

    def last(self, ending: Ending, whole: Piece | None = None) -> dict[str, Any]:
        """The end; with everything that was written for a client that does not stream."""
        counts = {}
        if ending.reason in ("stop", "length"):
            counts = {"prompt_eval_count": ending.prompt_tokens, "eval_count": ending.tokens}
        return {
            **self._head(),
            **self._said(whole or Piece()),
            "done": True,
            "done_reason": ending.reason,
            **self._durations(ending),
            **counts,
            **ending.more,
        }

    def whole(self, pieces: Iterable[Piece | Ending]) -> dict[str, Any]:
        """All pieces as one object."""
        text, thinking, calls, logprobs = [], [], [], []
        ending = Ending("stop")
        for piece in pieces:
            if isinstance(piece, Ending):
                ending = piece
                continue
            self._first = self._first or clock.monotonic()
            text.append(piece.text)
            thinking.append(piece.thinking)
            calls += piece.calls
            logprobs += piece.logprobs
        return self.last(ending, Piece("".join(text), "".join(thinking), calls, logprobs))

    def lines(self, pieces: Iterable[Piece | Ending]) -> Iterator[dict[str, Any]]:
        """Each piece as it comes."""
        for piece in pieces:
            yield self.last(piece) if isinstance(piece, Ending) else self.line(piece)

    def _head(self) -> dict[str, Any]:
        return {"model": self._model, "created_at": _written_at(clock.now())}

    def _said(self, piece: Piece) -> dict[str, Any]:
        said: dict[str, Any] = {"content" if self._chat else "response": piece.text}
        if piece.thinking:
            said["thinking"] = piece.thinking
        if piece.calls:
            said["tool_calls"] = piece.calls
        beside = {"logprobs": piece.logprobs} if piece.logprobs else {}
        return {"message": {"role": "assistant", **said}, **beside} if self._chat else {**said, **beside}

    def _durations(self, ending: Ending) -> dict[str, int]:
        """In nanoseconds. What is neither reading nor writing was waiting for the model."""
        now = clock.monotonic()
        total = int((now - self._began) * _NS)
        if ending.written_ms is None:
            written = int((now - (self._first or now)) * _NS)
        else:
            written = min(int(ending.written_ms * _NS_OF_MS), total)
        prompt = min(int((ending.prompt_ms or 0) * _NS_OF_MS), total - written)
        durations = {"total_duration": total, "load_duration": total - prompt - written}
        if ending.reason in ("stop", "length"):
            durations |= {"prompt_eval_duration": prompt, "eval_duration": written}
        return durations


def _written_at(now: float) -> str:
    """RFC 3339 with nine digits behind the second, as Ollama's own program writes it."""
    whole, part = divmod(int(now * _NS), _NS)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{part:09d}Z"


def ndjson(lines: Iterator[dict[str, Any]], *closers: Callable[[], object]) -> Response:
    """A line for each object; the closers run when it ends, however it ends."""
    return Response(sse.Body((_encoded(line) for line in lines), *closers), headers=_HEADERS)


def _encoded(line: dict[str, Any]) -> bytes:
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
