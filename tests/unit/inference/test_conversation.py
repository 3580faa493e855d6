"""What a runtime without templates is given, and how its bytes become text."""

import pytest

from appliance.inference.engine import EngineLoadError
from appliance.inference.engines.conversation import Conversation, Mark, Writing

ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
LLAMA_2 = (
    "{% for m in messages if m.role != 'system' %}{% if m.role == 'user' %}{{ bos_token + '[INST] ' + m.content }}"
    " [/INST]{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}"
)


def test_without_a_template_it_is_lines_of_role_and_text() -> None:
    plain = Conversation("")
    assert plain.parts(ASKED) == ["system: Be brief.\nuser: Why?\nassistant:"]
    assert "\nuser:" in plain.stops


def test_begin_and_end_of_a_template_are_marks_and_not_text() -> None:
    said = [*ASKED, {"role": "assistant", "content": "So."}, {"role": "user", "content": "Oh"}]
    assert Conversation(LLAMA_2).parts(said) == [
        Mark.BEGIN, "[INST] Why? [/INST] So.", Mark.END, Mark.BEGIN, "[INST] Oh [/INST]",
    ]  # fmt: skip


def test_nobody_writes_a_mark_into_a_message() -> None:
    for content in (Mark.END.value, "</s>", "\0\0e\0"):
        parts = Conversation(LLAMA_2).parts([{"role": "user", "content": content}])
        assert parts[0] is Mark.BEGIN
        assert len(parts) == 2


def test_the_parts_of_a_message_are_put_together() -> None:
    content = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert Conversation("{{ messages[0].content }}").parts([{"role": "user", "content": content}]) == ["a\nb"]


@pytest.mark.parametrize("messages", [None, 5, "text", [], ["text"], [{"content": 5}]])
def test_what_is_no_conversation_is_refused(messages: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        Conversation("").parts(messages)


@pytest.mark.parametrize(
    "template",
    [
        "{{ raise_exception('system is not taken') }}",
        "{{ messages.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ range(10 ** 9) | list }}",
        "{{ 1 / 0 }}",
        "{{ nothing.at.all }}",
    ],
)
def test_a_template_that_fails_or_wants_out_is_a_bad_request(template: str) -> None:
    conversation = Conversation(template)
    with pytest.raises(ValueError, match="messages"):
        conversation.parts(ASKED)


def test_a_template_that_is_none_is_refused_when_loading() -> None:
    with pytest.raises(EngineLoadError):
        Conversation("{% for m in")


def test_letters_come_whole_whatever_their_bytes_are_cut_into() -> None:
    writing = Writing([])
    raw = "日本🌸 a".encode()
    pieces = [writing.feed(raw[place : place + 1]) for place in range(len(raw))]
    assert "".join(pieces) + writing.rest() == "日本🌸 a"
    assert pieces[:3] == ["", "", "日"]
    assert writing.feed(b"\xe6\x97") + writing.rest() == "�"


def test_what_may_become_a_stop_word_is_held_back_until_it_is_clear() -> None:
    writing = Writing(["</end>"])
    assert [writing.feed(piece) for piece in (b"a<", b"/e", b"x</", b"end>b")] == ["a", "", "</ex", ""]
    assert writing.is_ended
    assert writing.rest() == ""


def test_what_was_held_back_is_shown_at_the_end() -> None:
    writing = Writing(["stop", "aab"])
    assert writing.feed(b"it st") == "it "
    assert writing.rest() == "st"
    assert Writing(["aab"]).feed(b"aaa") == "a"


def test_the_first_of_several_stop_words_counts() -> None:
    assert Writing(["two", "one"]).feed(b"zero one two") == "zero "
