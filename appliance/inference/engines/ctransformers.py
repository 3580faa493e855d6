"""The opt-in engine for older models: GGUF files of Llama models in the form of 2023, on ctransformers.

The runtime checks little and is no longer looked after, so it sees only files that `legacy.obstacle` lets through.
It knows a conversation only as text: marks of a template that are words of the vocabulary, other than begin and
end, are read letter by letter.
"""

import ctypes
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from appliance.inference import child_http, legacy
from appliance.inference.engine import EngineLoadError, EngineSpec, Loaded
from appliance.inference.engines.conversation import Conversation, Mark, Part
from appliance.inference.engines.one_by_one import OneByOne, Steps, number, wants_form
from appliance.inference.gguf import HEADER_BYTES, GgufError, chat_template, parse

_THREADS = 1
"""Its threads spin while they wait for each other: with two it can be a thousand times slower on a busy machine."""

_BATCH = 32
"""Tokens computed between two looks at the connection."""


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
        temperature = number(body, "temperature", 0.8)
        seed = int(number(body, "seed", -1))
        top_k = int(number(body, "top_k", 40))
        return cls(
            # The runtime divides by the temperature; and with no choice there is nothing to be warm about.
            top_k=1 if temperature <= 0 else top_k if 0 < top_k < vocabulary else vocabulary,
            top_p=min(max(number(body, "top_p", 0.95), 0.0), 1.0),
            temperature=temperature if temperature > 0 else 1.0,
            repetition_penalty=max(number(body, "repeat_penalty", 1.0), 0.01),
            last_n_tokens=max(int(number(body, "repeat_last_n", 64)), 0),
            seed=seed if seed >= 0 else secrets.randbits(31),
        )

    def at(self, place: int) -> dict[str, Any]:
        """For the token at `place`: the runtime starts its dice anew for each one."""
        return {**vars(self), "seed": (self.seed + place) & 0x7FFFFFFF}


class CtransformersEngine(OneByOne):
    """One context, so one answer at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._llm: Any = None

    def serve(self, spec: EngineSpec) -> Loaded:
        if spec.kind != "chat":
            raise EngineLoadError("this engine runs chat models only")
        own = _checked(spec.file)
        self._conversation = Conversation(spec.template or own)
        self._llm = _loaded(spec)
        self._limit = min(spec.context, int(self._llm.context_length))
        child_http.serve(spec.socket, spec.api_key, spec.model, self)
        return Loaded(provider="cpu", context=self._limit)

    def _encode(self, text: str) -> list[int]:
        raw = text.replace("\0", "").encode()
        # Not the package's own `tokenize`: its room is one token for each letter, and one letter may take four.
        room = (ctypes.c_int * (3 * len(raw) + 4))()
        count: int = self._llm.ctransformers_llm_tokenize(raw, False, room)
        return room[: max(count, 0)]

    def _prompt(self, parts: Sequence[Part]) -> list[int]:
        marks = {Mark.BEGIN: self._llm.bos_token_id, Mark.END: self._llm.eos_token_id}
        tokens: list[int] = []
        for part in parts:
            tokens += [marks[part]] if isinstance(part, Mark) else self._encode(part)
        if tokens[:1] != [marks[Mark.BEGIN]]:
            tokens.insert(0, marks[Mark.BEGIN])
        return tokens

    def _bare(self, text: str) -> list[int]:
        return [self._llm.bos_token_id, *self._encode(text)]

    def _steps(self, tokens: list[int], body: dict[str, Any], most: int) -> Steps:
        if wants_form(body):
            raise ValueError("response_format: this engine can't follow it")
        sampling = _Sampling.of(body, self._llm.vocab_size)
        return self._compute(tokens, sampling, most, endless=bool(body.get("ignore_eos")))

    def _compute(self, tokens: list[int], sampling: _Sampling, most: int, *, endless: bool) -> Steps:
        new = self._llm.prepare_inputs_for_generation(tokens, reset=True)  # what the last prompt had too is kept
        for start in range(0, len(new), _BATCH):
            self._llm.eval(new[start : start + _BATCH], batch_size=_BATCH, threads=_THREADS)
            yield None
        for place in range(most):
            if endless:
                self._llm.ctransformers_llm_logits_data()[self._llm.eos_token_id] = float("-inf")
            token = self._llm.sample(**sampling.at(place))
            if self._llm.is_eos_token(token):
                return
            self._llm.eval([token], batch_size=1, threads=_THREADS)
            yield self._llm.detokenize([token], decode=False)


def _checked(file: Path) -> str:
    """The chat template of a file that the runtime can be given: once more, since a manifest may come by hand."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        data = opened.read(min(size, HEADER_BYTES))
    try:
        obstacle = legacy.obstacle(parse(data, size))
        template = chat_template(data, size)
    except GgufError as error:
        raise EngineLoadError(str(error)) from error
    if obstacle:
        raise EngineLoadError(f"not for this engine: {obstacle.reason} {obstacle.found}")
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
