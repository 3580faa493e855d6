"""Which flavour of onnxruntime is installed: for the CPU or for NVIDIA GPUs; two at once break each other silently."""

from importlib import metadata
from typing import Final

from appliance.inference import genai

_FLAVOURS: Final = {"onnxruntime": "cpu", "onnxruntime-gpu": "gpu"}
_ON_ONNX: Final = ("onnx", genai.ENGINE)
"""Engines of which the box has a flavour for GPUs."""


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


def may_use_gpu(engine: str, provider: str) -> bool:
    """Whether a child of `engine` may come to compute on a GPU: the box was installed for one, and is let."""
    return provider != "cpu" and engine in _ON_ONNX and "gpu" in installed()


def is_sound(flavours: tuple[str, ...]) -> bool:
    """Whether exactly one is there: both share one folder, and the one installed last wins without a word."""
    return len(flavours) == 1
