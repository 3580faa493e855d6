"""Whether a model thinks before it answers, as far as its chat template tells."""

from typing import Final

_SIGNS: Final = ("enable_thinking", "<think>")
"""What a request can switch, and what thoughts stand between."""


def thinks(template: str) -> bool:
    """Whether a chat in the form of this Jinja template may begin with thoughts."""
    return any(sign in template for sign in _SIGNS)
