"""Chat templates of an operator: tried once in a closed-off child, refused with the line that is at fault."""

import pytest

from appliance.errors import ChatTemplateError
from appliance.inference import templates

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Four lines, so that what is put behind it begins in the fourth."""


@pytest.mark.parametrize(
    "template",
    [
        CHATML,
        (
            "{{ bos_token }}{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}"
            "{{ m.content | trim }}{% if loop.last %}{% break %}{% endif %}{% endfor %}{{ eos_token }}"
        ),
        (
            "{% macro part(m) %}{{ m.role ~ ': ' ~ m.content | tojson }}{% endmacro %}"
            "{% for m in messages %}{{ part(m) }}{% endfor %}{% if tools %}{{ raise_exception('no tools') }}{% endif %}"
        ),
        "{{ strftime_now('%Y') }}{% for m in messages if m.role != 'system' %}{{ m.content }}{% endfor %}",
    ],
)
def test_a_template_that_a_chat_can_be_put_into_is_taken(template: str) -> None:
    templates.check(template)


@pytest.mark.parametrize(
    ("template", "line"),
    [
        (CHATML + "{{ ''.__class__.__mro__ }}", 4),
        (CHATML + "{% if false %}\n{{ messages.__class__ }}{% endif %}", 5),
        (CHATML + "{{ messages[0]['__class__'] }}", 4),
        (CHATML + "{{ messages | attr('x') }}", 4),
        ("{{ os.system('id') }}" + CHATML, 1),
        ("{{ self.__init__ }}" + CHATML, 1),
        ("{{ cycler.__init__.__globals__.os }}" + CHATML, 1),
        ("\n{% include '/etc/passwd' %}", 2),
        ("{% import 'x' as x %}", 1),
        (CHATML + "\n{% for", 5),
        (CHATML + "\n{{ messages[9].content.x }}", 5),
        (CHATML + "\n\n{{ raise_exception('no') }}", 6),
        (CHATML + "{{ messages.append(1) }}", 4),
        (CHATML + "{{ range(1000000000) | list }}", 4),
        ("{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}", 1),
    ],
)
def test_a_template_that_is_wrong_or_reaches_too_far_is_refused_by_its_line(template: str, line: int) -> None:
    with pytest.raises(ChatTemplateError) as refused:
        templates.check(template)
    assert refused.value.params == {"line": line}


@pytest.mark.parametrize(
    "template",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}" + CHATML,
        "{{ 'a' * 10000000000 }}" + CHATML,
        "hello",
        "x" * (templates.LONGEST + 1),
        CHATML + "\0",
    ],
    ids=["no end", "much memory", "no question", "too long", "nul"],
)
def test_a_template_without_an_end_or_without_the_question_is_refused(template: str) -> None:
    with pytest.raises(ChatTemplateError):
        templates.check(template)
