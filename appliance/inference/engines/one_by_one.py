"""For runtimes that write one answer at a time and know only tokens: turns, limits, stop words and the answer's end."""

import contextlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from typing import Any, ClassVar

from appliance.inference.child_http import ContextExceededError, Stopped, UnsupportedError, Vectors
from appliance.inference.engines.conversation import Conversation, Part, Writing

_TURN_SECONDS = 0.1

Steps = Generator[bytes | None, None, None]
"""None while the prompt is read, then each token's bytes; it ends where the model ends the answer."""


class OneByOne(ABC):
    """Who comes while another's answer is written waits."""

    refused: ClassVar[tuple[str, ...]] = (
        *("grammar", "json_schema", "tools", "logprobs", "n_probs"),
        *("logit_bias", "min_p", "presence_penalty", "frequency_penalty"),
    )
    """What a caller may ask for and this runtime can't follow; nothing, none and 0 ask for nothing."""

    def __init__(self) -> None:
        self._conversation = Conversation("")
        self._limit = 0
        """Tokens of a prompt and its answer together."""
        self._turn = threading.Lock()

    # -- what a runtime has to know

    @abstractmethod
    def _encode(self, text: str) -> list[int]:
        """Tokens of a text, without begin or end."""

    @abstractmethod
    def _prompt(self, parts: Sequence[Part]) -> list[int]:
        """Tokens of a conversation, its begin included."""

    @abstractmethod
    def _bare(self, text: str) -> list[int]:
        """Tokens of a text that goes on, its begin included."""

    @abstractmethod
    def _steps(self, tokens: list[int], body: dict[str, Any], most: int) -> Steps:
        """An answer of up to `most` tokens, nothing of it computed yet.

        Raises:
            ValueError, TypeError: a wish that the runtime can't follow, or that is none.
        """

    # -- the contract's

    def chat(self, body: dict[str, Any]) -> Iterator[str | None]:
        parts = self._conversation.parts(body["messages"])
        return self._answer(self._prompt(parts), body, self._conversation.stops)

    def complete(self, prompt: str, body: dict[str, Any]) -> Iterator[str | None]:
        return self._answer(self._bare(prompt), body, ())

    def embed(self, texts: Sequence[str], *, truncate: bool) -> tuple[Vectors, int]:  # noqa: ARG002 - the contract's
        raise UnsupportedError("a chat model has no embeddings")

    def rerank(
        self,
        query: str,  # noqa: ARG002 - the contract's
        documents: Sequence[str],  # noqa: ARG002
        *,
        raw: bool,  # noqa: ARG002
        stopped: Stopped,  # noqa: ARG002
    ) -> tuple[list[float], int]:
        raise UnsupportedError("a chat model can't rerank")

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(self._encode(text)) for text in texts]

    # --

    def _answer(self, tokens: list[int], body: dict[str, Any], stops: Sequence[str]) -> Iterator[str | None]:
        if refused := next((name for name in self.refused if body.get(name)), None):
            raise ValueError(f"{refused}: this engine can't follow it")
        if len(tokens) >= self._limit:
            raise ContextExceededError(len(tokens), self._limit)
        room = self._limit - len(tokens)
        wish = int(number(body, "max_tokens", 0))
        most = body["max_tokens"] = min(wish, room) if wish > 0 else room  # the server tells why it ended by this
        writing = Writing([*stops, *_stops(body)])
        return self._write(self._steps(tokens, body, most), writing, most)

    def _write(self, steps: Steps, writing: Writing, most: int) -> Iterator[str | None]:
        while not self._turn.acquire(timeout=_TURN_SECONDS):
            yield None
        try:
            with contextlib.closing(steps):
                yield from _shown(steps, writing, most)
        finally:
            self._turn.release()


def number(body: dict[str, Any], name: str, default: float) -> float:
    """The number at `name` of a request, or the default where nothing is said.

    Raises:
        TypeError: something else.
    """
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number")
    return value


def wants_form(body: dict[str, Any]) -> bool:
    """Whether the answer is to be something else than text, e.g. JSON."""
    return bool((body.get("response_format") or {}).get("type", "text") != "text")


def _shown(steps: Steps, writing: Writing, most: int) -> Iterator[str | None]:
    count = 0
    for data in steps:
        if data is None:
            yield None
            continue
        count += 1
        text = writing.feed(data)
        if writing.is_ended:
            yield text
            return
        if count == most:
            yield text + writing.rest()
            yield ""  # one more than was asked for: it ended by its length
            return
        yield text
    if rest := writing.rest():
        yield rest


def _stops(body: dict[str, Any]) -> list[str]:
    wish = body.get("stop") or []
    words = [wish] if isinstance(wish, str) else list(wish)
    if not all(isinstance(word, str) for word in words):
        raise TypeError("stop must be a text or a list of texts")
    return [word for word in words if word]
