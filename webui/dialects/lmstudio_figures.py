"""Figures that LM Studio's clients show beside an answer: how fast, how soon, why it ended, on which model."""

from collections.abc import Iterator
from typing import Any, Final

from appliance import __version__, clock
from appliance.gateway.gateway import ModelInfo
from webui.sse import Comment

FORMATS: Final = {"llama": "gguf"}
"""What an engine's files are called, where that isn't the engine's own name."""
_REASONS: Final = {"tool_calls": "toolCalls", "length": "maxPredictedTokensReached"}
_WRITTEN: Final = ("content", "reasoning_content", "tool_calls")
_MS: Final = 1000


class Figures:
    """Watches the chunks of one answer go by, in OpenAI's words; seconds are the engine's own where it tells them."""

    def __init__(self, model: ModelInfo) -> None:
        self._model = model
        self._began = clock.monotonic()
        self._first: float | None = None
        self._last = self._began
        self._finish = "stop"
        self._timings: dict[str, Any] = {}
        self.prompt_tokens = 0
        self.tokens = 0
        self.reasoning_tokens = 0
        """As many as there were chunks of reasoning: the engine sends one for each token."""

    def watched(
        self, chunks: Iterator[dict[str, Any] | None] | Iterator[dict[str, Any] | Comment | None]
    ) -> Iterator[dict[str, Any] | Comment | None]:
        """The same chunks."""
        for chunk in chunks:
            if isinstance(chunk, dict):
                self._note(chunk)
            yield chunk

    def _note(self, chunk: dict[str, Any]) -> None:
        self._last = clock.monotonic()
        self._timings = chunk.get("timings") or self._timings
        if usage := chunk.get("usage"):
            self.prompt_tokens = int(usage.get("prompt_tokens") or 0)
            self.tokens = int(usage.get("completion_tokens") or 0)
        for choice in chunk.get("choices", ()):
            self._finish = choice.get("finish_reason") or self._finish
            delta = choice.get("delta") or {}
            self.reasoning_tokens += bool(delta.get("reasoning_content"))
            if self._first is None and any((*map(delta.get, _WRITTEN), choice.get("text"))):
                self._first = self._last

    @property
    def seconds_to_first(self) -> float:
        """From the request to the first token, waiting for the model included."""
        return round((self._first or self._last) - self._began, 3)

    @property
    def seconds_written(self) -> float:
        """From the first token to the last."""
        told = self._timings.get("predicted_ms")
        return round(self._last - (self._first or self._last) if told is None else told / _MS, 3)

    @property
    def tokens_per_second(self) -> float:
        """How fast it was written; 0 where that was too short to measure."""
        told = self._timings.get("predicted_per_second")
        if told is None:
            told = self.tokens / self.seconds_written if self.seconds_written else 0.0
        return round(float(told), 2)

    @property
    def stop_reason(self) -> str:
        """Why it ended. The engine tells an end of its own and a stop word alike."""
        if self._finish == "length" and self.prompt_tokens + self.tokens >= self._model.context:
            return "contextLengthReached"
        return _REASONS.get(self._finish, "eosFound")

    def beside(self) -> dict[str, Any]:
        """What stands beside an answer of `/api/v0`."""
        stats = {
            "tokens_per_second": self.tokens_per_second,
            "time_to_first_token": self.seconds_to_first,
            "generation_time": self.seconds_written,
            "stop_reason": self.stop_reason,
        }
        return {"stats": stats, **about(self._model)}


def about(model: ModelInfo) -> dict[str, Any]:
    """The model and what it runs on."""
    kind = FORMATS.get(model.engine, model.engine)
    return {
        "model_info": {
            "arch": model.engine,
            "quant": model.quantization,
            "format": kind,
            "context_length": model.context,
        },
        "runtime": {"name": f"hako-{model.engine}", "version": __version__, "supported_formats": [kind]},
    }
