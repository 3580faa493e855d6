"""What a GGUF file says of itself, once it has been read and checked."""

from dataclasses import dataclass
from typing import Final

from appliance.inference.gguf_types import ENCODERS, Pooling
from appliance.inference.projectors import Projector

_SCRATCH_BYTES: Final = 50
"""For each token and number of a layer's vector, where a text goes through as a whole. Measured: 40 with 2,048 tokens
of width 768, 49 with 8,192 of width 1,024."""


@dataclass(frozen=True)
class Header:
    """What was found, checked."""

    version: int
    architecture: str
    kind: str
    """`model`, or what else the file says it is, e.g. `adapter`."""
    name: str
    licence: str
    languages: tuple[str, ...]
    vocabulary: str
    """Kind of tokenizer, e.g. `gpt2` (BPE) or `llama` (SPM); empty if there is none."""
    vocabulary_size: int
    context: int
    """Tokens it was trained to hold; 0 if it doesn't say."""
    blocks: int
    """Layers."""
    width: int
    """Length of the vector that goes from layer to layer."""
    cache_bytes_per_token: int
    """Keys and values of all layers for one token, in half precision."""
    parameters: int
    quantization: str
    template: int
    """Characters of the chat template; 0 if there is none."""
    thinks: bool
    """Whether that template lets it think before it answers."""
    tools: bool
    """Whether tools have a place in it."""
    splits: int
    """Files that the model was split into; 1 for a whole one."""
    pooling: Pooling
    """How it makes one vector, or one score, of a text; empty if it doesn't say that it does."""
    scored: bool
    """Whether the words of the vocabulary have scores, by which SPM picks them."""
    output: bool
    """Whether there is a matrix of its own for the words that come out; else the one of those that go in is used."""
    tensor_types: tuple[str, ...]
    """What the tensors are stored as, in alphabetical order."""
    projector: Projector | None = None
    """See `gguf_projector`, which reads it."""

    @property
    def makes_vectors(self) -> bool:
        """Whether it makes vectors of texts, and no words."""
        return bool(self.pooling) or self.architecture in ENCODERS

    @property
    def scratch_bytes_per_token(self) -> int:
        """What llama.cpp needs beside weights and cache for a token of a text; a chat model reads in small pieces."""
        return _SCRATCH_BYTES * self.width if self.makes_vectors else 0
