"""Whether a model thinks before it answers, and takes tools, as far as its chat template tells."""

import re
from typing import Final

_SIGNS: Final = ("enable_thinking", "<think>")
"""What a request can switch, and what thoughts stand between."""
_TOOLS: Final = re.compile(r"\btools\b")
"""By this name the engine hands tools to a template."""


def thinks(template: str) -> bool:
    """Whether a chat in the form of this Jinja template may begin with thoughts."""
    return any(sign in template for sign in _SIGNS)


def takes_tools(template: str) -> bool:
    """Whether tools have a place in a chat in the form of this Jinja template."""
    return _TOOLS.search(template) is not None
