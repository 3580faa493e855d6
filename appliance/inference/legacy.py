"""What the opt-in engine for models of 2023 (ctransformers) may be given, and whether it is installed.

It checks next to nothing itself: a file it doesn't expect ends its process, or gives an answer out of bytes that
are not there. So only what it is known to read gets to it.
"""

from importlib import metadata
from typing import Final, Literal, NamedTuple

from appliance.inference.gguf_header import Header

ENGINE: Final = "ctransformers"
PLACES: Final = 1
"""It has one context, so it writes one answer at a time."""

_TYPES: Final = frozenset({
    "F32", "F16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K",
})  # fmt: skip
"""How tensors were stored in 2023; it takes the number of a later type for an index into its own table."""


class Obstacle(NamedTuple):
    """Why the engine can't read a file."""

    reason: Literal["architecture", "vocabulary", "scores", "output", "tensors"]
    """Names the words for it, in `error.HK-MOD-013.reason.…`."""
    found: str = ""
    """What the file has instead."""


def obstacle(header: Header) -> Obstacle | None:
    """None if the engine can read such a file."""
    if header.architecture != "llama":
        return Obstacle("architecture", header.architecture)
    if header.vocabulary != "llama":
        return Obstacle("vocabulary", header.vocabulary)  # BPE: it reads out of bounds at the first line end
    if not header.scored:
        return Obstacle("scores")
    if not header.output:
        return Obstacle("output")
    later = [name for name in header.tensor_types if name not in _TYPES]
    return Obstacle("tensors", later[0]) if later else None


def version() -> str:
    """Of the installed package; empty if there is none."""
    try:
        return metadata.version(ENGINE)
    except metadata.PackageNotFoundError:
        return ""
