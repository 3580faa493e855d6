"""What a model can be stored as to be smaller, and which of its tensors becomes what: llama.cpp's own mixtures."""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

from appliance.inference.gguf_layout import Layout, Placed
from appliance.inference.gguf_types import FILE_TYPES, TENSORS

_NUMBERS: Final = {form.name: number for number, form in TENSORS.items()}
_FILES: Final = {name: number for number, name in FILE_TYPES.items()}

_BASES: Final = {
    "F16": "F16",
    "Q8_0": "Q8_0",
    "Q6_K": "Q6_K",
    "Q5_K_M": "Q5_K",
    "Q5_K_S": "Q5_K",
    "Q5_0": "Q5_0",
    "Q4_K_M": "Q4_K",
    "Q4_K_S": "Q4_K",
    "Q4_1": "Q4_1",
    "Q4_0": "Q4_0",
    "Q3_K_M": "Q3_K",
}
TARGETS: Final = tuple(_BASES)
"""By size, the largest first. Smaller ones need a table of what matters most, which no box has."""
NATIVE: Final = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS")
"""Types of tensors that ggml itself turns back into numbers."""
READABLE: Final = frozenset({"F32", "F16", "BF16", *NATIVE})
"""All that numbers can be read back from."""

_ODD_ROWS: Final = {"Q3_K": "Q4_0", "Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
"""Instead, where a row can't be cut into blocks of 256."""
_OUT: Final = {"F16": "F16", "Q8_0": "Q8_0"}
"""What the words come out of; Q6_K where this doesn't say."""
_WHOLE: Final = re.compile(
    r"ffn_gate_inp|position_embd|token_types|ssm_conv1d|shortconv|time_mix|attn_rel_b|altup|laurel"
)
"""Small, and what goes wrong in them goes wrong everywhere."""
_LEAST_GAIN: Final = 0.97
"""A file that stays larger than that was hardly touched, and must not be called by the new name."""
_LAYER: Final = re.compile(r"blk\.(\d+)\.")


class NothingGainedError(Exception):
    """The file is as small already, or of a type that can't be read back; the text is for the log."""


@dataclass(frozen=True)
class Mixture:
    """The type of each tensor, in the file's order, and what the whole is called."""

    kinds: tuple[int, ...]
    file_type: int


def smaller(quantization: str) -> tuple[str, ...]:
    """What a file that calls itself `quantization` can become, the largest first; its tensors have the last word."""
    base = _BASES.get(quantization, quantization)
    if base not in _NUMBERS:
        base = base.rpartition("_")[0]  # as in Q3_K_L
    if base not in READABLE:
        return ()
    bits = _bits(_NUMBERS[base])
    return tuple(name for name, form in _BASES.items() if _bits(_NUMBERS[form]) < bits)


def mixture(found: Layout, to: str, readable: frozenset[str]) -> Mixture:
    """What the tensors of a file become; none of them ever gets larger, since nothing that was lost comes back.

    Raises:
        NothingGainedError: the file would not become smaller.
    """
    base = _NUMBERS[_BASES[to]]
    sizes: Counter[int] = Counter()
    for tensor in found.tensors:
        if _is_open(tensor):
            sizes[tensor.kind] += tensor.size()
    most = max(sizes, key=lambda kind: sizes[kind], default=base)
    if _bits(base) >= _bits(most):
        raise NothingGainedError(f"most of it is {TENSORS[most].name}")
    tied = all(tensor.name != "output.weight" for tensor in found.tensors)
    layers = 1 + max((_layer(tensor) for tensor in found.tensors), default=0)
    kinds = tuple(_kind(tensor, to, layers, readable, tied=tied) for tensor in found.tensors)
    before = sum(tensor.size() for tensor in found.tensors)
    if sum(tensor.size(kind) for tensor, kind in zip(found.tensors, kinds, strict=True)) > _LEAST_GAIN * before:
        raise NothingGainedError("too few of its rows can be cut into smaller blocks")
    return Mixture(kinds, _FILES[to])


def _kind(tensor: Placed, to: str, layers: int, readable: frozenset[str], *, tied: bool) -> int:
    if not _is_open(tensor) or TENSORS[tensor.kind].name not in readable:
        return tensor.kind
    if tensor.name == "output.weight" or (tied and tensor.name == "token_embd.weight"):
        name = _OUT.get(to, "Q6_K")
    else:
        name = _part(tensor.name, to, _layer(tensor), layers) or _BASES[to]
    if tensor.row % TENSORS[_NUMBERS[name]].block:
        name = _ODD_ROWS.get(name, "F16")
    kind = _NUMBERS[name]
    if tensor.row % TENSORS[kind].block or _bits(kind) >= _bits(tensor.kind):
        return tensor.kind
    return kind


def _part(name: str, to: str, layer: int, layers: int) -> str:
    """What llama.cpp keeps finer than the rest; empty for all else."""
    finer = layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2
    value, joined, down, out = (
        part in name for part in ("attn_v.weight", "attn_qkv.weight", "ffn_down", "attn_output.weight")
    )
    first = {"Q4_K_S": (4, layers // 8), "Q3_K_M": (2, layers // 16)}
    joined_as = {"Q3_K_M": "Q4_K", "Q4_K_M": "Q5_K", "Q5_K_M": "Q6_K"}
    name = joined_as.get(to, "") if joined else ""
    if to in ("Q4_K_M", "Q5_K_M") and (value or down) and finer:
        name = "Q6_K"
    elif (value and layer < first.get(to, (0, 0))[0]) or (down and layer < first.get(to, (0, 0))[1]):
        name = "Q5_K"
    elif to == "Q3_K_M" and (value or out or (down and finer)):
        name = "Q4_K"
    return name


def _is_open(tensor: Placed) -> bool:
    """Whether it may become smaller: matrices of weights, but for a few."""
    return (
        len(tensor.sides) > 1
        and tensor.rows > 1
        and tensor.name.endswith("weight")
        and "norm" not in tensor.name
        and not _WHOLE.search(tensor.name)
    )


def _layer(tensor: Placed) -> int:
    found = _LAYER.match(tensor.name)
    return int(found[1]) if found else 0


def _bits(kind: int) -> float:
    form = TENSORS[kind]
    return form.bytes * 8 / form.block
