"""The parameters that a preset gives, as an answer of the box follows them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

_OWN: Final = ("max_tokens", "temperature", "json_schema", "logit_bias")
"""What doesn't go to the engine under its own name."""


@dataclass(frozen=True)
class Sampling:
    """For a `ChatRequest`: its own two fields, and the rest of the engine's body."""

    max_tokens: int
    temperature: float
    extra: dict[str, Any] = field(default_factory=dict)


def sampling(
    wish: Mapping[str, Any],
    *,
    tokens: int,
    longest: int,
    thoughts: int = 0,
    temperature: float = 0.7,
    with_schema: bool = False,
) -> Sampling:
    """What `wish` asks for, and otherwise what the box takes; never more than `longest` tokens.

    `thoughts`: tokens beside those, which a model may think for before it answers; without an end of theirs they would
    leave the answer none.

    A JSON schema counts `with_schema` only: words that are tied to sources can't be JSON, nor can half an answer.
    """
    extra = {name: value for name, value in wish.items() if name not in _OWN}
    if wish.get("logit_bias"):
        extra["logit_bias"] = [[int(token), bias] for token, bias in wish["logit_bias"].items()]
    if with_schema and wish.get("json_schema"):
        form = {"name": "answer", "schema": wish["json_schema"]}
        extra["response_format"] = {"type": "json_schema", "json_schema": form}
    if thoughts:
        extra["thinking_budget_tokens"] = thoughts
    most = min(wish.get("max_tokens", tokens), longest) + thoughts
    return Sampling(most, wish.get("temperature", temperature), extra)
