"""What a GGUF model can do here, by what its header says: chat, or make vectors of texts."""

from dataclasses import dataclass
from typing import Final

from appliance.inference.engine import Pooling
from appliance.inference.gguf_header import Header
from appliance.inference.prefixes import Prefixes

_NEITHER: Final = frozenset({"clip", "t5", "t5encoder", "wavtokenizer-dec"})


class RoleError(Exception):
    """The engine can't use it; the text is for the log."""


@dataclass(frozen=True)
class Vectors:
    """How an embedding model makes a vector of a text, and what it wants before it."""

    dimensions: int
    pooling: Pooling
    query_prefix: str
    passage_prefix: str


def vectors(header: Header, pooling: Pooling | None, prefixes: Prefixes) -> Vectors | None:
    """None for a chat model. `pooling` goes before what the file says.

    Raises:
        RoleError: it makes neither words nor vectors.
    """
    if header.vocabulary in ("", "none") or header.architecture in _NEITHER or header.pooling == "rank":
        raise RoleError(f"neither words nor vectors: {header.architecture}")
    if not header.makes_vectors:
        return None
    stated: Pooling = header.pooling or "mean"
    return Vectors(header.width, pooling or stated, prefixes.query, prefixes.passage)
