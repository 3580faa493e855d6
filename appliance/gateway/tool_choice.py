"""Which functions a model may call, and whether it must: OpenAI's `tool_choice`, of chats and of responses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from appliance.errors import BadInputError

Mode = Literal["auto", "none", "required"]

_MODES: Final[Mapping[str, Mode]] = {"auto": "auto", "none": "none", "required": "required"}
_FIELD: Final = "tool_choice"


@dataclass(frozen=True)
class ToolChoice:
    """What a request's tools and `tool_choice` mean together."""

    mode: Mode
    places: Sequence[int]
    """Of the tools that may be called, in the request's list."""

    def applied(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The body in words that every server knows: only these tools, and one of three words for the choice."""
        if not body.get("tools"):
            return without_tools(body)
        return {**body, "tools": [body["tools"][place] for place in self.places], _FIELD: self.mode}


def without_tools(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body without anything about tools."""
    return {name: value for name, value in body.items() if name not in ("tools", _FIELD, "parallel_tool_calls")}


def read(body: Mapping[str, Any]) -> ToolChoice:
    """The choice of a chat's body.

    Raises:
        BadInputError: no known choice, a function that isn't among the tools, or a call is demanded without any.
    """
    mode, wanted = _understood(body.get(_FIELD))
    names = [tool["function"]["name"] for tool in body.get("tools") or ()]
    if wanted is not None and not set(wanted) <= set(names):
        raise BadInputError("a function that is not among the tools", field=_FIELD)
    places = [place for place, name in enumerate(names) if wanted is None or name in wanted]
    if mode == "required" and not places:
        raise BadInputError("a call without tools", field=_FIELD)
    return ToolChoice(mode, places)


def demands_call(wish: object) -> bool:
    """Whether such a `tool_choice` leaves no answer but a call.

    Raises:
        BadInputError: no known choice.
    """
    return _understood(wish)[0] == "required"


def _understood(wish: object) -> tuple[Mode, list[str] | None]:
    """The mode, and the names of the functions that may be called; None for all of them."""
    if wish is None:
        return "auto", None
    if isinstance(wish, str) and wish in _MODES:
        return _MODES[wish], None
    if isinstance(wish, dict) and wish.get("type") == "function":
        return "required", [_name(wish)]
    if isinstance(wish, dict) and wish.get("type") == "allowed_tools":
        allowed = wish.get("allowed_tools", wish)
        if isinstance(allowed, dict) and allowed.get("mode") in ("auto", "required"):
            tools = allowed.get("tools")
            return _MODES[allowed["mode"]], [_name(tool) for tool in (tools if isinstance(tools, list) else [None])]
    raise BadInputError("tool choice", field=_FIELD)


def _name(named: object) -> str:
    """Of a function that is named as in chats, or without the level between, as in responses."""
    function = named.get("function", named) if isinstance(named, dict) and named.get("type") == "function" else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str):
        raise BadInputError("name of a function", field=_FIELD)
    return name
