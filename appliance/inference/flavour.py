"""Which flavour of onnxruntime is installed: for the CPU or for NVIDIA GPUs; two at once break each other silently."""

from importlib import metadata
from typing import Final

_FLAVOURS: Final = {"onnxruntime": "cpu", "onnxruntime-gpu": "gpu"}


def installed() -> tuple[str, ...]:
    """`cpu`, `gpu`, both or none, as the installed distributions say.

    What a model really runs on is another question, answered by its session: see `Loaded.provider`.
    """
    found: list[str] = []
    for distribution, flavour in _FLAVOURS.items():
        try:
            metadata.distribution(distribution)
        except metadata.PackageNotFoundError:
            continue
        found.append(flavour)
    return tuple(found)


def is_sound(flavours: tuple[str, ...]) -> bool:
    """Whether exactly one is there: both share one folder, and the one installed last wins without a word."""
    return len(flavours) == 1
