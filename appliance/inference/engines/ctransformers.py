"""The opt-in engine for older models: GGUF files of Llama models in the form of 2023, on ctransformers.

The runtime checks little and is no longer looked after, so it sees only files that `legacy.obstacle` lets through.
It knows a conversation only as text: marks of a template that are words of the vocabulary, other than begin and
end, are read letter by letter.
"""

import ctypes
import secrets
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from appliance.inference import child_http, legacy
from appliance.inference.child_http import ContextExceededError, Stopped, UnsupportedError, Vectors
from appliance.inference.engine import EngineLoadError, EngineSpec, Loaded
from appliance.inference.engines.conversation import Conversation, Mark, Writing
from appliance.inference.gguf import HEADER_BYTES, GgufError, chat_template, parse

_THREADS = 1
"""Its threads spin while they wait for each other: with two it can be a thousand times slower on a busy machine."""

_BATCH = 32
"""Tokens computed between two looks at the connection."""

_TURN_SECONDS = 0.1
_REFUSED = ("grammar", "json_schema", "tools")


@dataclass(frozen=True)
class _Sampling:
    """How the next token is picked, in the runtime's terms."""

    top_k: int
    top_p: float
    temperature: float
    repetition_penalty: float
    last_n_tokens: int
    seed: int

    @classmethod
    def of(cls, body: dict[str, Any], vocabulary: int) -> Self:
        """With llama.cpp's defaults. Raises ValueError or TypeError for what are no numbers."""
        temperature = _number(body, "temperature", 0.8)
        seed = int(_number(body, "seed", -1))
        top_k = int(_number(body, "top_k", 40))
        return cls(
            # The runtime divides by the temperature; and with no choice there is nothing to be warm about.
            top_k=1 if temperature <= 0 else top_k if 0 < top_k < vocabulary else vocabulary,
            top_p=min(max(_number(body, "top_p", 0.95), 0.0), 1.0),
            temperature=temperature if temperature > 0 else 1.0,
            repetition_penalty=max(_number(body, "repeat_penalty", 1.0), 0.01),
            last_n_tokens=max(int(_number(body, "repeat_last_n", 64)), 0),
            seed=seed if seed >= 0 else secrets.randbits(31),
        )

    def at(self, place: int) -> dict[str, Any]:
        """For the token at `place`: the runtime starts its dice anew for each one."""
        return {**vars(self), "seed": (self.seed + place) & 0x7FFFFFFF}


class CtransformersEngine:
    """One context, so one answer at a time; who comes meanwhile waits."""

    def __init__(self) -> None:
        self._llm: Any = None
        self._conversation = Conversation("")
        self._limit = 0
        self._turn = threading.Lock()

    def serve(self, spec: EngineSpec) -> Loaded:
        if spec.kind != "chat":
            raise EngineLoadError("this engine runs chat models only")
        own = _checked(spec.file)
        self._conversation = Conversation(spec.template or own)
        self._llm = _loaded(spec)
        self._limit = min(spec.context, int(self._llm.context_length))
        child_http.serve(spec.socket, spec.api_key, spec.model, self)
        return Loaded(provider="cpu", context=self._limit)

    def chat(self, body: dict[str, Any]) -> Iterator[str | None]:
        parts = self._conversation.parts(body["messages"])
        marks = {Mark.BEGIN: self._llm.bos_token_id, Mark.END: self._llm.eos_token_id}
        tokens: list[int] = []
        for part in parts:
            tokens += [marks[part]] if isinstance(part, Mark) else self._encode(part)
        if tokens[:1] != [marks[Mark.BEGIN]]:
            tokens.insert(0, marks[Mark.BEGIN])
        return self._answer(tokens, body, self._conversation.stops)

    def complete(self, prompt: str, body: dict[str, Any]) -> Iterator[str | None]:
        return self._answer([self._llm.bos_token_id, *self._encode(prompt)], body, ())

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

    def _encode(self, text: str) -> list[int]:
        """Tokens of a text, without begin or end."""
        raw = text.replace("\0", "").encode()
        # Not the package's own `tokenize`: its room is one token for each letter, and one letter may take four.
        room = (ctypes.c_int * (3 * len(raw) + 4))()
        count: int = self._llm.ctransformers_llm_tokenize(raw, False, room)
        return room[: max(count, 0)]

    def _answer(self, tokens: list[int], body: dict[str, Any], stops: Sequence[str]) -> Iterator[str | None]:
        refused = [name for name in _REFUSED if body.get(name)]
        if (body.get("response_format") or {}).get("type", "text") != "text":
            refused.append("response_format")
        if refused:
            raise ValueError(f"{refused[0]}: this engine can't follow it")
        if len(tokens) >= self._limit:
            raise ContextExceededError(len(tokens), self._limit)
        room = self._limit - len(tokens)
        wish = int(_number(body, "max_tokens", 0))
        most = body["max_tokens"] = min(wish, room) if wish > 0 else room  # the server tells why it ended by this
        writing = Writing([*stops, *_stops(body)])
        sampling = _Sampling.of(body, self._llm.vocab_size)
        return self._write(tokens, sampling, writing, most, bool(body.get("ignore_eos")))

    def _write(
        self, tokens: list[int], sampling: _Sampling, writing: Writing, most: int, endless: bool
    ) -> Iterator[str | None]:
        while not self._turn.acquire(timeout=_TURN_SECONDS):
            yield None
        try:
            yield from self._read(tokens)
            for place in range(most):
                text = self._next(sampling.at(place), writing, endless=endless)
                if text is None:
                    break
                if writing.is_ended:
                    yield text
                    return
                if place + 1 == most:
                    yield text + writing.rest()
                    yield ""  # one more than was asked for: it ended by its length
                    return
                yield text
            if rest := writing.rest():
                yield rest
        finally:
            self._turn.release()

    def _read(self, tokens: list[int]) -> Iterator[None]:
        new = self._llm.prepare_inputs_for_generation(tokens, reset=True)  # what the last prompt had too is kept
        for start in range(0, len(new), _BATCH):
            self._llm.eval(new[start : start + _BATCH], batch_size=_BATCH, threads=_THREADS)
            yield None

    def _next(self, sampling: dict[str, Any], writing: Writing, *, endless: bool) -> str | None:
        """Another token's text, as far as it can be shown already; None at the end of the answer."""
        llm = self._llm
        if endless:
            llm.ctransformers_llm_logits_data()[llm.eos_token_id] = float("-inf")
        token = llm.sample(**sampling)
        if llm.is_eos_token(token):
            return None
        llm.eval([token], batch_size=1, threads=_THREADS)
        return writing.feed(llm.detokenize([token], decode=False))


def _checked(file: Path) -> str:
    """The chat template of a file that the runtime can be given: once more, since a manifest may come by hand."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        data = opened.read(min(size, HEADER_BYTES))
    try:
        reason = legacy.obstacle(parse(data, size))
        template = chat_template(data, size)
    except GgufError as error:
        raise EngineLoadError(str(error)) from error
    if reason:
        raise EngineLoadError(f"not for this engine: {reason}")
    return template


def _loaded(spec: EngineSpec) -> Any:
    try:
        from ctransformers.llm import LLM, Config
    except ImportError as error:
        raise EngineLoadError("the package ctransformers, the extra `legacy`, is not installed") from error
    config = Config(context_length=spec.context, threads=_THREADS, gpu_layers=0, batch_size=_BATCH)
    try:
        return LLM(str(spec.file), "gguf", config=config, lib=_variant())
    except (OSError, RuntimeError, ValueError) as error:
        raise EngineLoadError(str(error)) from error


def _variant() -> str:
    """Which of the package's libraries this processor can run; its own way of asking starts other programs."""
    lines = Path("/proc/cpuinfo").read_text("ascii", "replace").splitlines()
    flags = next((set(line.split()) for line in lines if line.startswith("flags")), set())
    if {"avx2", "fma", "f16c"} <= flags:
        return "avx2"
    return "avx" if {"avx", "f16c"} <= flags else "basic"


def _number(body: dict[str, Any], name: str, default: float) -> float:
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number")
    return value


def _stops(body: dict[str, Any]) -> list[str]:
    wish = body.get("stop") or []
    words = [wish] if isinstance(wish, str) else list(wish)
    if not all(isinstance(word, str) for word in words):
        raise TypeError("stop must be a text or a list of texts")
    return [word for word in words if word]
