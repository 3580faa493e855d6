"""What the `config.json` beside an ONNX model says of it, for files that nobody has vouched for."""

import json
import re
from dataclasses import dataclass
from typing import Any, Final, Literal

FILE_BYTES: Final = 1 << 20

Pooling = Literal["mean", "cls"]

_ARCHITECTURE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CONTEXT, _WIDTH, _LABELS = range(8, 1 << 20), range(1, 1 << 16), range(1, 1 << 16)
_OFFSET: Final = frozenset({"xlm-roberta", "roberta", "camembert", "xlm-roberta-xl", "xlm"})
"""Architectures that count places from behind the padding token's number on."""
_OTHER_POOLING: Final = re.compile(r"pooling_mode_(?!cls_token$|mean_tokens$)[a-z_]{1,40}")


class ConfigError(Exception):
    """Damaged, cut off, or no model can be so; the text is for the log."""


@dataclass(frozen=True)
class Config:
    """What was found, checked."""

    architecture: str
    context: int
    """Tokens it was trained to hold."""
    width: int
    """Length of the vector that goes from layer to layer."""
    labels: int
    """What a classifier tells apart; 2 where it doesn't say, as is usual."""
    vocabulary: int
    """Tokens that have a vector."""
    name: str
    """Where it came from, as it says."""


def parse(data: bytes) -> Config:
    """The contents of a `config.json`.

    Raises:
        ConfigError: for everything that is not right.
    """
    said = _object(data)
    architecture = said.get("model_type")
    if not isinstance(architecture, str) or not _ARCHITECTURE.fullmatch(architecture):
        raise ConfigError("names no architecture")
    context = _number(said, "max_position_embeddings")
    if architecture in _OFFSET:
        context -= _number(said, "pad_token_id", 1) + 1
    width = _number(said, "hidden_size")
    vocabulary = _number(said, "vocab_size")
    if context not in _CONTEXT or width not in _WIDTH or not vocabulary < 1 << 21:
        raise ConfigError("has an impossible size")
    name = said.get("_name_or_path")
    return Config(
        architecture=architecture,
        context=context,
        width=width,
        labels=_labels(said),
        vocabulary=vocabulary,
        name=name[:200] if isinstance(name, str) else "",
    )


def pooling(data: bytes) -> Pooling | None:
    """How the tokens' vectors become one, by a `1_Pooling/config.json`; None if in a way that the engine hasn't.

    Raises:
        ConfigError: for everything that is not right.
    """
    said = _object(data)
    if any(said.get(key) is True for key in said if _OTHER_POOLING.fullmatch(key)):
        return None
    mean, first = said.get("pooling_mode_mean_tokens"), said.get("pooling_mode_cls_token")
    if mean is first:
        return None
    return "mean" if mean is True else "cls" if first is True else None


def _object(data: bytes) -> dict[str, Any]:
    if len(data) > FILE_BYTES:
        raise ConfigError("is too long")
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        raise ConfigError("is not JSON") from None
    if not isinstance(said, dict):
        raise ConfigError("is not a list of settings")
    return said


def _number(said: dict[str, Any], key: str, default: int | None = None) -> int:
    value = said.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 31:
        raise ConfigError("lacks a number that a model can't do without")
    return value


def _labels(said: dict[str, Any]) -> int:
    listed = said.get("id2label")
    if isinstance(listed, dict):
        if len(listed) not in _LABELS:
            raise ConfigError("has an impossible number of labels")
        return len(listed)
    count = _number(said, "num_labels", 2)
    if count not in _LABELS:
        raise ConfigError("has an impossible number of labels")
    return count
