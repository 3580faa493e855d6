"""What a chat template tells of thoughts, and what becomes of it."""

import pytest

from appliance.inference.gguf import parse
from appliance.inference.thinking import takes_tools, thinks
from tests.simulators import gguf


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{% if enable_thinking is defined and enable_thinking is false %}x{% endif %}", True),
        ("{{ '<think>\\n' }}", True),
        ("{% for m in messages %}{{ m.content }}{% endfor %} I think so", False),
        ("", False),
    ],
)
def test_a_template_that_can_switch_thoughts_or_mark_them_is_of_a_model_that_thinks(
    template: str,
    expected: bool,
) -> None:
    assert thinks(template) is expected
    data = gguf.build(gguf.entries(tokenizer__chat_template=template), gguf.tensors())
    assert parse(data, len(data)).thinks is expected


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{% if tools %}{{ tools | tojson }}{% endif %}", True),
        ("{%- if tools is defined and tools -%}x{%- endif -%}", True),
        ("{{ message.tool_calls }} {{ mytools }} {{ tools_in_user_message }}", False),
        ("", False),
    ],
)
def test_a_template_that_names_tools_has_a_place_for_them(template: str, expected: bool) -> None:
    assert takes_tools(template) is expected
    data = gguf.build(gguf.entries(tokenizer__chat_template=template), gguf.tensors())
    assert parse(data, len(data)).tools is expected
