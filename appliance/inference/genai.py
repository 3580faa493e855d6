"""What the opt-in engine for chat models on onnxruntime (onnxruntime-genai) may be given, and whether it is there."""

from collections.abc import Iterable
from importlib import metadata
from typing import Final

from appliance.inference.genai_config import GenaiConfig
from appliance.inference.onnx_header import OnnxHeader, Value

ENGINE: Final = "genai"
PLACES: Final = 1
"""It writes one answer at a time: two would only share the same cores."""

CONFIG: Final = "genai_config.json"
TOKENIZER: Final = "tokenizer.json"
TOKENIZER_CONFIG: Final = "tokenizer_config.json"
TEMPLATE: Final = "chat_template.jinja"
"""Only some models have one; in others it is in `tokenizer_config.json`."""

PACKAGES: Final = {"onnxruntime-genai": "cpu", "onnxruntime-genai-cuda": "gpu"}
"""Both bring the same folder; the second one is for onnxruntime-gpu."""

_NUMBERS: Final = frozenset({"FLOAT", "FLOAT16", "BFLOAT16"})
_TOKENS: Final = frozenset({"INT64", "INT32"})
_CACHE_SIDES: Final = 4


def installed() -> dict[str, str]:
    """Version by flavour: `cpu`, `gpu`, both or none."""
    found: dict[str, str] = {}
    for package, flavour in PACKAGES.items():
        try:
            found[flavour] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def version() -> str:
    """Of the installed package; empty if there is none."""
    return next(iter(installed().values()), "")


def obstacle(config: GenaiConfig, header: OnnxHeader, words: int) -> str:
    """Why the engine can't run such a graph as the configuration says, in words for the log; empty if it can.

    `words` is how many tokens the vocabulary has.

    The runtime believes the configuration, and writes where the graph has no room.
    """
    if words > config.vocabulary:
        return "more tokens than it knows"
    inputs = {value.name: value for value in header.inputs}
    outputs = {value.name: value for value in header.outputs}
    tokens, *beside = config.inputs
    pasts = _by_layer(config, beside)
    if unknown := inputs.keys() - {tokens, *config.inputs, *pasts}:
        return f"an input {min(unknown)[:40]!r} that is not spoken of"
    if tokens not in inputs or inputs[tokens].kind not in _TOKENS:
        return "no tokens go in"
    logits = outputs.get(config.outputs[0])
    if logits is None or logits.kind not in _NUMBERS or not _ends_in(logits, config.vocabulary):
        return "no probabilities for its tokens come out"
    for name in (*pasts, *_by_layer(config, config.outputs)):
        value = inputs.get(name) or outputs.get(name)
        if value is None or not _is_cache(value, config):
            return f"no cache {name[:40]!r} of the size that is spoken of"
    return ""


def _by_layer(config: GenaiConfig, names: Iterable[str]) -> list[str]:
    return [name.replace("%d", str(layer)) for name in names if "%d" in name for layer in range(config.layers)]


def _ends_in(value: Value, side: int) -> bool:
    return bool(value.shape) and value.shape is not None and value.shape[-1] in (side, -1)


def _is_cache(value: Value, config: GenaiConfig) -> bool:
    """(texts, heads, tokens, size of a head), as far as it says."""
    shape = value.shape
    if value.kind not in _NUMBERS or shape is None or len(shape) != _CACHE_SIDES:
        return False
    return shape[1] in (config.heads, -1) and shape[3] in (config.head_size, -1)
