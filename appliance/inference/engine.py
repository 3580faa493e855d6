"""The engine contract: what a model runtime must offer inside its child process.

Only plain dataclasses here: a child imports this and nothing heavier beside its runtime.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

EngineKind = Literal["chat", "embedding", "reranker"]
Speculation = Literal["off", "ngram"]
CacheType = Literal["f16", "q8_0", "q4_0"]
Pooling = Literal["mean", "cls", "last"]


@dataclass(frozen=True, kw_only=True)
class EngineSpec:
    """What a child is told on its standard input, as one JSON line."""

    model: str
    kind: EngineKind
    engine: str
    folder: str
    entry: str
    socket: str
    api_key: str = field(repr=False)
    threads: int
    parallel: int
    context: int
    """Tokens one answer or one text may have."""
    dimensions: int
    provider: str
    memory_bytes: int
    """Address-space limit of the child; 0 for none."""
    template: str = ""
    """Jinja chat template; the model's own where it is empty."""
    speculation: Speculation = "off"
    """`ngram`: guess the next words from what the context says already."""

    cache_type: CacheType = "f16"
    """How exactly it keeps what it has read: in halves of a word, or rounded to about 8 or 4 bits a number."""
    adapter: str = ""
    """LoRA file in `folder`; none where it is empty."""
    adapter_scale: float = 1.0
    pooling: Pooling = "mean"
    """How vectors of tokens become one, where the graph leaves that to the engine; `last` with llama.cpp only."""
    slots: str = ""
    """Folder in memory for states of long prompts; none are kept where it is empty."""
    projector: str = ""
    """File in `folder` with which the model sees pictures; none where it is empty."""

    @property
    def file(self) -> Path:
        return Path(self.folder) / self.entry


@dataclass(frozen=True)
class Loaded:
    """What a child says when it takes requests."""

    provider: str
    """What it really computes on, e.g. `cpu`; not what was wished for."""
    context: int


class Engine(Protocol):
    """A model runtime.

    `serve` loads the model and answers OpenAI-shaped HTTP on the unix socket `spec.socket`, only to
    callers that send `spec.api_key`; it returns when the first request can be taken. A caller that
    closes its connection cancels its request.
    """

    def serve(self, spec: EngineSpec) -> Loaded: ...


class EngineLoadError(Exception):
    """The runtime refused the model's files, in words for the log."""


class ProviderError(EngineLoadError):
    """The files are right, but what they were to be computed on doesn't work here."""
