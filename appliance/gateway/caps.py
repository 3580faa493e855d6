"""What a request may ask for at most, as the operator has set it: more is lowered, and who asked is told."""

from collections.abc import Mapping
from typing import Any


def lowered(body: Mapping[str, Any], max_tokens: int, top_logprobs: int) -> tuple[dict[str, Any], dict[str, int]]:
    """The body within the caps, and the fields that had to be lowered, with what they are now.

    `max_tokens`: of one answer, 0 for no cap; a body that names none asks for as many as there is room.
    `top_logprobs`: alternatives for each token.
    """
    now: dict[str, int] = {}
    wish = body.get("max_tokens")
    if max_tokens and not (isinstance(wish, int) and 0 < wish <= max_tokens):
        now["max_tokens"] = max_tokens
    others = body.get("top_logprobs")
    if isinstance(others, int) and others > top_logprobs:
        now["top_logprobs"] = top_logprobs
    return {**body, **now}, now


def told(now: Mapping[str, int]) -> str:
    """As the header and the comments say it: `max_tokens=512, top_logprobs=5`."""
    return ", ".join(f"{name}={value}" for name, value in now.items())
