"""What an ONNX model can do here, by what goes into its graph and what comes out: vectors of texts, scores of pairs."""

from dataclasses import dataclass
from typing import Final, Literal

from appliance.inference.hf_config import Config
from appliance.inference.onnx_header import OnnxHeader, Value

Kind = Literal["embedding", "reranker"]

OUTPUTS: Final[dict[Kind, tuple[str, ...]]] = {
    "embedding": ("sentence_embedding", "last_hidden_state", "token_embeddings"),
    "reranker": ("logits",),
}
"""Names that publishers give to what comes out; the engine takes the first that is there, else the first output."""

_INPUTS: Final = frozenset({"input_ids", "attention_mask", "token_type_ids"})
_NEEDED: Final = frozenset({"input_ids", "attention_mask"})
_LABELS: Final = (1, 2)
_FLOATS: Final = frozenset({"FLOAT"})
_TEXTS, _TOKENS = 2, 3
"""Sides of a tensor with something for each text, for each token of each text."""


class RoleError(Exception):
    """The engine can't use such a graph; the text is for the log."""


class UnclearError(Exception):
    """It may be the one or the other: a person has to say."""


@dataclass(frozen=True)
class Role:
    """What it is to be used for."""

    kind: Kind
    dimensions: int
    """Length of a vector; 0 for rerankers."""
    pooled: bool = False
    """Whether the graph makes one vector of a text itself."""


def output(names: list[str], kind: Kind) -> str:
    """Which of a graph's outputs is asked for."""
    return next((name for name in OUTPUTS[kind] if name in names), names[0])


def role(header: OnnxHeader, config: Config, wish: Kind | None) -> Role:
    """What the model is, or whether it can be what `wish` says.

    Raises:
        RoleError: neither.
        UnclearError: nobody said, and the names of the outputs don't either.
    """
    for value in header.inputs:
        if (
            value.name not in _INPUTS
            or value.kind != "INT64"
            or (value.shape is not None and len(value.shape) != _TEXTS)
        ):
            raise RoleError(f"an input {value.name[:40]!r} of type {value.kind}")
    if not {value.name for value in header.inputs} >= _NEEDED:
        raise RoleError("no text goes in")
    kind = wish or _kind([value.name for value in header.outputs])
    wanted = output([value.name for value in header.outputs], kind)
    value = next(value for value in header.outputs if value.name == wanted)
    if value.kind not in _FLOATS:
        raise RoleError(f"an output of type {value.kind}")
    if kind == "reranker":
        return _scored(value, config)
    return Role(kind, _width(value, config), pooled=value.shape is not None and len(value.shape) == _TEXTS)


def _kind(names: list[str]) -> Kind:
    found: list[Kind] = [kind for kind, known in OUTPUTS.items() if any(name in known for name in names)]
    if len(found) != 1:
        raise UnclearError("outputs of no known name" if not found else "outputs of both kinds")
    return found[0]


def _width(value: Value, config: Config) -> int:
    if value.shape is not None and len(value.shape) not in (_TEXTS, _TOKENS):
        raise RoleError("vectors of another shape")
    side = value.shape[-1] if value.shape else -1
    if side == 0 or (side > 0 and value.shape is not None and len(value.shape) == _TOKENS and side != config.width):
        raise RoleError("vectors of another length than it says")
    return side if side > 0 else config.width


def _scored(value: Value, config: Config) -> Role:
    if value.shape is not None and len(value.shape) != _TEXTS:
        raise RoleError("no score for a pair")
    side = value.shape[-1] if value.shape else -1
    if (side if side > 0 else config.labels) not in _LABELS:
        raise RoleError("more labels than a no and a yes")
    return Role("reranker", 0)
