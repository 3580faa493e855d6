"""One answer in the making: its text and citations as they come, what its reader is told, and the clock."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from appliance import clock
from appliance.errors import CancelledError
from appliance.gateway.stream import ChatStream
from appliance.knowledge.cite import Citation

Verdict = Literal["answer", "perhaps", "none"]
Mode = Literal["generated", "extractive", "chat"]


class Sink(Protocol):
    """Where an answer is written while it comes into being; `runs.Writer` is one."""

    def emit(self, kind: str, **data: Any) -> None: ...
    def stopped(self) -> bool: ...
    def on_stop(self, act: Callable[[], None] | None) -> None: ...


@dataclass
class Answer:
    """What was written. `text` carries `[n]` marks that refer to `citations`."""

    text: str = ""
    mode: Mode = "chat"
    verdict: Verdict | None = None
    citations: list[Citation] = field(default_factory=list)
    sources: list[dict[str, Any]] = field(default_factory=list)
    unsourced: list[tuple[int, int]] = field(default_factory=list)
    """Ranges of `text` that no passage supports."""
    stats: dict[str, Any] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """As stored with the message and sent by the API."""
        return {
            "mode": self.mode,
            "verdict": self.verdict,
            "citations": [citation.as_dict() for citation in self.citations],
            "sources": self.sources,
            "unsourced": self.unsourced,
            "stats": self.stats,
        }


class Writing:
    """One answer in the making: the text so far, its citations in order of appearance, and the clock."""

    def __init__(self, sink: Sink, model: str, cited: Sequence[Citation] = ()) -> None:
        self.sink = sink
        self.answer = Answer(citations=list(cited), stats={"model": model, "tokens": 0, "finish": "stop"})
        self.began = clock.monotonic()
        self.first_text_at: float | None = None
        self._thinks = False
        self._numbers = {citation.place: citation.n for citation in cited}

    def text(self, text: str) -> None:
        if not text:
            return
        if self.first_text_at is None:
            self.first_text_at = clock.monotonic()
            self.answer.stats["ttft_ms"] = round((self.first_text_at - self.began) * 1000)
        self.answer.text += text
        self.sink.emit("delta", text=text)

    def think(self, thought: str) -> None:
        """Tell what the model thinks; it is no part of the answer, and not kept with it."""
        if not self._thinks:
            self._thinks = True
            self.sink.emit("stage", stage="thinking")
        self.sink.emit("thinking", text=thought)

    def cite(self, citation: Citation) -> None:
        """Write the mark, and tell the source the first time it is used."""
        number = self._numbers.get(citation.place)
        if number is None:
            number = self._numbers[citation.place] = max(self._numbers.values(), default=0) + 1
            numbered = citation.numbered(number)
            self.answer.citations.append(numbered)
            self.sink.emit("citation", **numbered.as_dict())
        self.text(f" [{number}]")

    def sentence(self, text: str, citation: Citation) -> None:
        """A whole sentence with its mark, unless the answer has that source already."""
        if citation.place not in self._numbers:
            self.text(("\n\n" if self.answer.text else "") + text)
            self.cite(citation)

    def waits(self, stage: str, position: int, wait_s: float | None) -> None:
        """Tell that the model is being loaded, or which place in its queue this answer has and how long it may take."""
        known = {} if wait_s is None else {"wait_s": wait_s}
        self.sink.emit("stage", stage=stage, position=position, **known)

    def check(self) -> None:
        if self.sink.stopped():
            raise CancelledError

    def note(self, stream: ChatStream) -> None:
        """Take over what the engine says of its own work."""
        stats = self.answer.stats
        stats |= {"tokens": stream.tokens - stream.thoughts, "finish": stream.finish}
        if stream.thoughts:
            stats["thought_tokens"] = stream.thoughts
        if stream.left_out:
            stats["left_out"] = stream.left_out
        if stream.prompt_tokens is not None:
            stats["prompt_tokens"] = stream.prompt_tokens
        if stream.tokens_per_s:
            stats["tokens_per_s"] = stream.tokens_per_s

    def close(self) -> Answer:
        stats, now = self.answer.stats, clock.monotonic()
        stats["elapsed_ms"] = round((now - self.began) * 1000)
        if self.first_text_at is not None and stats["tokens"] > 1 and "tokens_per_s" not in stats:
            stats["tokens_per_s"] = round((stats["tokens"] - 1) / max(now - self.first_text_at, 1e-3), 1)
        return self.answer
