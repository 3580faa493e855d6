"""What the opt-in engine for models of 2023 (ctransformers) may be given, and whether it is installed.

It checks next to nothing itself: a file it doesn't expect ends its process, or gives an answer out of bytes that
are not there. So only what it is known to read gets to it.
"""

from importlib import metadata
from typing import Final

from appliance.inference.gguf import Header

ENGINE: Final = "ctransformers"
PLACES: Final = 1
"""It has one context, so it writes one answer at a time."""

_TYPES: Final = frozenset({
    "F32", "F16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K",
})  # fmt: skip
"""How tensors were stored in 2023; it takes the number of a later type for an index into its own table."""


def obstacle(header: Header) -> str:
    """Why the engine can't read such a file, in words for the log; empty if it can."""
    if header.architecture != "llama":
        return f"architecture {header.architecture}"
    if header.vocabulary != "llama":
        return f"vocabulary {header.vocabulary}, not SentencePiece"  # BPE: it reads out of bounds at the first line end
    if not header.scored:
        return "a vocabulary without scores"
    if not header.output:
        return "no output.weight"
    later = [name for name in header.tensor_types if name not in _TYPES]
    return f"tensors of type {later[0]}" if later else ""


def version() -> str:
    """Of the installed package; empty if there is none."""
    try:
        return metadata.version(ENGINE)
    except metadata.PackageNotFoundError:
        return ""
