"""What the engines that write one answer at a time have in common: whom they refuse, and who waits."""

import threading
from typing import Any, Final

import pytest

from appliance.errors import BadInputError
from tests.contract.test_engines import Running, text_of

UNHEEDED: Final = pytest.mark.parametrize(
    ("field", "wish", "nothing"),
    [
        ("logprobs", True, False),
        ("logit_bias", [[5, -100.0]], []),
        ("min_p", 0.05, 0),
        ("presence_penalty", -0.5, 0.0),
        ("frequency_penalty", 1, None),
    ],
)
"""Fields that they don't know of: a wish that they would not heed, and what wishes for nothing."""


def refuses_by_name(child: Running, field: str, wish: Any, nothing: Any) -> None:
    with pytest.raises(BadInputError) as refused:
        child.chat("hello", **{field: wish})
    assert refused.value.params == {"field": field}
    assert text_of(child.chat("hello", **{field: nothing}))


def answers_each(child: Running) -> None:
    questions = ["hello", "Tokyo", "Kyoto is old", "why"]
    alone = {question: text_of(child.chat(question)) for question in questions}
    together: dict[str, str] = {}
    threads = [
        threading.Thread(target=lambda q=question: together.update({q: text_of(child.chat(q))}))
        for question in questions
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert together == alone
