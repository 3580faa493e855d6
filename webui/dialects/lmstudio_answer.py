"""An answer in the words of LM Studio's `/api/v1`: its events in their order, and the whole that they add up to."""

from collections.abc import Iterator
from typing import Any, Literal

from appliance import clock
from appliance.gateway.gateway import ModelInfo
from webui.dialects.lmstudio_figures import Figures
from webui.sse import Comment, Event

Part = Literal["reasoning", "message"]


class Reply:
    """Writes one answer; `result` is what its events have told so far."""

    def __init__(self, instance: str, model: ModelInfo) -> None:
        """`instance`: what answers; `model`: whose words they are, which is another one behind a base."""
        self._instance = instance
        self._figures = Figures(model)
        self._output: list[dict[str, Any]] = []
        self._open: Part | None = None
        self._reads = False
        self._load_began = 0.0
        self._loaded_in: float | None = None
        self._more: dict[str, Any] = {}
        self.is_whole = False
        """Whether it was written to its end."""
        self.was_cut = False
        """Whether that end is its length's."""
        self.response_id: str | None = None
        """By which the chat can be gone on with, once it is kept."""

    def start(self) -> Event:
        """The head."""
        return _event("chat.start", model_instance_id=self._instance)

    def load_begins(self) -> Iterator[Event]:
        """The model is not in memory yet."""
        self._load_began = clock.monotonic()
        yield _event("model_load.start", model_instance_id=self._instance)
        yield _event("model_load.progress", model_instance_id=self._instance, progress=0.0)

    def load_goes_on(self, fraction: float) -> Event:
        """So much of it, 0-1, is done."""
        return _event("model_load.progress", model_instance_id=self._instance, progress=fraction)

    def load_ended(self) -> Iterator[Event]:
        """Now it is."""
        self._loaded_in = round(clock.monotonic() - self._load_began, 3)
        yield _event("model_load.progress", model_instance_id=self._instance, progress=1.0)
        yield _event("model_load.end", model_instance_id=self._instance, load_time_seconds=self._loaded_in)

    @property
    def text(self) -> str:
        """What was written beside thoughts."""
        return "".join(part["content"] for part in self._output if part["type"] == "message")

    @property
    def counts(self) -> tuple[int, int]:
        """Tokens that were read and written."""
        return self._figures.prompt_tokens, self._figures.tokens

    def events(self, chunks: Iterator[dict[str, Any] | Comment | None]) -> Iterator[Event | Comment | None]:
        """An engine's or a base's chunks in OpenAI's words as events; what is told while nothing happens stays."""
        self._reads = True
        yield _event("prompt_processing.start")
        for chunk in self._figures.watched(chunks):
            if chunk is None or isinstance(chunk, Comment):
                yield chunk
                continue
            if progress := chunk.get("prompt_progress"):
                yield _event("prompt_processing.progress", progress=_share(progress))
            self._more |= {name: chunk[name] for name in ("citations", "verdict") if name in chunk}
            for choice in chunk.get("choices", ()):
                delta, finish = choice.get("delta") or {}, choice.get("finish_reason")
                self.is_whole, self.was_cut = self.is_whole or bool(finish), self.was_cut or finish == "length"
                yield from self._write("reasoning", delta.get("reasoning_content"))
                yield from self._write("message", delta.get("content"))
        if not self._output:
            yield from self._begin("message")
        yield from self._end()

    def result(self) -> dict[str, Any]:
        """The whole."""
        figures = self._figures
        stats: dict[str, Any] = {
            "input_tokens": figures.prompt_tokens,
            "total_output_tokens": figures.tokens,
            "reasoning_output_tokens": figures.reasoning_tokens,
            "tokens_per_second": figures.tokens_per_second,
            "time_to_first_token_seconds": figures.seconds_to_first,
        }
        if self._loaded_in is not None:
            stats["model_load_time_seconds"] = self._loaded_in
        kept = {} if self.response_id is None else {"response_id": self.response_id}
        return {"model_instance_id": self._instance, "output": self._output, "stats": stats, **kept, **self._more}

    def end(self) -> Event:
        """The last event, also after an error."""
        return _event("chat.end", result=self.result())

    def _write(self, part: Part, piece: str | None) -> Iterator[Event]:
        if not piece:
            return
        if self._open != part:
            yield from self._begin(part)
        self._output[-1]["content"] += piece
        yield _event(f"{part}.delta", content=piece)

    def _begin(self, part: Part) -> Iterator[Event]:
        yield from self._end()
        self._open = part
        self._output.append({"type": part, "content": ""})
        yield _event(f"{part}.start")

    def _end(self) -> Iterator[Event]:
        """The prompt has been read, or a part has been written."""
        if self._reads:
            self._reads = False
            yield _event("prompt_processing.end")
        if self._open is not None:
            yield _event(f"{self._open}.end")
            self._open = None


def _share(progress: dict[str, Any]) -> float:
    """How much of the prompt has been read, from 0 to 1."""
    return round(min(int(progress.get("processed") or 0) / max(int(progress.get("total") or 0), 1), 1.0), 3)


def _event(kind: str, **data: Any) -> Event:
    return Event(kind, {"type": kind, **data})
