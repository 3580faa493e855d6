"""Whether a model should think before it answers: each dialect's way of saying so, as chat templates are told.

A template reads what it knows and passes over the rest. What nobody has said is left to the model's template.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

from appliance.errors import NoThinkingError
from appliance.gateway.gateway import ModelInfo
from webui import shapes

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Level = Literal["low", "medium", "high", "max"]

_OFF: Final = ("off", "none", "minimal")
_LEVELS: Final[Mapping[str, str]] = {"low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
"""As templates know them."""
_LEAST_BUDGET: Final = 1
"""Ends the thoughts of a model whose template begins them in any case; with 0 llama.cpp's server may not end them."""


class TemplateKwargs(shapes.Shape):
    """What a client may tell a model's template itself. Templates come from elsewhere: nothing else reaches one."""

    enable_thinking: bool | None = None
    thinking: bool | None = None
    reasoning_effort: Effort | None = None


def told(wish: bool | str | None, own: TemplateKwargs | None = None, budget: int | None = None) -> dict[str, Any]:
    """The part of an engine's body for yes, no, or a word for how much; empty where nothing was said.

    What the client tells the template itself (`own`) counts more. `budget`: tokens that thoughts may take.
    """
    said: dict[str, Any] = {}
    if wish is not None:
        on = wish if isinstance(wish, bool) else wish not in _OFF
        said = {"enable_thinking": on, "thinking": on}
        if isinstance(wish, str) and wish in _LEVELS:
            said["reasoning_effort"] = _LEVELS[wish]
    said |= own.model_dump(exclude_none=True) if own else {}
    part: dict[str, Any] = {"chat_template_kwargs": said} if said else {}
    most = _LEAST_BUDGET if said.get("enable_thinking") is False else budget
    return part if most is None else part | {"thinking_budget_tokens": most}


def demand(model: ModelInfo) -> None:
    """Refuse to let a model think that can't, as Ollama does; of another machine's nothing is known.

    Raises:
        NoThinkingError: its template has no thoughts.
    """
    if not model.thinking and model.engine != "remote":
        raise NoThinkingError(name=model.name)
