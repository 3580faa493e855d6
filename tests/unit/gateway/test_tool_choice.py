"""OpenAI's `tool_choice`: what it means, and what it can't mean."""

from typing import Any

import pytest

from appliance.errors import BadInputError
from appliance.gateway import tool_choice

TOOLS = [{"type": "function", "function": {"name": name}} for name in ("weather", "clock", "sum")]
CHAT = [{"type": "function", "function": {"name": name}} for name in ("sum", "clock")]
FLAT = [{"type": "function", "name": name} for name in ("sum", "clock")]


@pytest.mark.parametrize(
    ("wish", "mode", "names"),
    [
        (None, "auto", ["weather", "clock", "sum"]),
        ("auto", "auto", ["weather", "clock", "sum"]),
        ("none", "none", ["weather", "clock", "sum"]),
        ("required", "required", ["weather", "clock", "sum"]),
        (CHAT[0], "required", ["sum"]),
        (FLAT[0], "required", ["sum"]),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": CHAT}}, "auto", ["clock", "sum"]),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": CHAT}}, "required", ["clock", "sum"]),
        ({"type": "allowed_tools", "mode": "required", "tools": FLAT}, "required", ["clock", "sum"]),
        ({"type": "allowed_tools", "mode": "auto", "tools": []}, "auto", []),
    ],
)
def test_every_choice_is_one_of_three_words_and_the_functions_that_it_allows(
    wish: Any, mode: str, names: list[str]
) -> None:
    body = {"messages": [], "tools": TOOLS, "tool_choice": wish}
    applied = tool_choice.read(body).applied(body)
    assert applied["tool_choice"] == mode
    assert [tool["function"]["name"] for tool in applied["tools"]] == names
    assert tool_choice.demands_call(wish) == (mode == "required")


def test_without_tools_a_choice_is_left_out_and_a_call_can_not_be_demanded() -> None:
    body: dict[str, Any] = {"messages": [], "tool_choice": "auto", "parallel_tool_calls": False, "tools": []}
    assert tool_choice.read(body).applied(body) == {"messages": []}
    assert tool_choice.read({"prompt": "x"}).mode == "auto"
    for wish in ("required", CHAT[0], {"type": "allowed_tools", "mode": "required", "tools": []}):
        with pytest.raises(BadInputError) as refused:
            tool_choice.read({**body, "tool_choice": wish})
        assert refused.value.params == {"field": "tool_choice"}


@pytest.mark.parametrize(
    "wish",
    [
        "", "any", "weather", 5, True, [], ["auto"], {}, {"type": "auto"}, {"type": "web_search"},
        {"type": "function"}, {"type": "function", "function": None}, {"type": "function", "function": {"name": 5}},
        {"type": "function", "function": {"name": "rain"}}, {"type": "function", "name": ["sum"]},
        {"type": "custom", "custom": {"name": "sum"}},
        {"type": "allowed_tools"}, {"type": "allowed_tools", "mode": "none", "tools": FLAT},
        {"type": "allowed_tools", "mode": ["auto"], "tools": FLAT}, {"type": "allowed_tools", "mode": "auto"},
        {"type": "allowed_tools", "mode": "auto", "tools": [5]},
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp", "server_label": "x"}]},
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "rain"}]},
        {"type": "allowed_tools", "allowed_tools": 5},
    ],
)  # fmt: skip
def test_what_is_no_choice_names_the_field(wish: Any) -> None:
    with pytest.raises(BadInputError) as refused:
        tool_choice.read({"tools": TOOLS, "tool_choice": wish})
    assert refused.value.params == {"field": "tool_choice"}
