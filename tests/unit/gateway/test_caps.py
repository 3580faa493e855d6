"""The operator's caps on a request: what is above them is lowered and told, the rest is as it was asked for."""

from typing import Any

import pytest

from appliance.gateway import caps


@pytest.mark.parametrize(
    ("body", "now"),
    [
        ({"max_tokens": 100, "top_logprobs": 5}, {}),
        ({"max_tokens": 101}, {"max_tokens": 100}),
        ({"max_tokens": 1 << 31, "top_logprobs": 6}, {"max_tokens": 100, "top_logprobs": 5}),
        ({"max_tokens": -1}, {"max_tokens": 100}),
        ({"max_tokens": 0}, {"max_tokens": 100}),
        ({"max_tokens": None}, {"max_tokens": 100}),
        ({}, {"max_tokens": 100}),
    ],
)
def test_what_is_above_a_cap_is_lowered(body: dict[str, Any], now: dict[str, int]) -> None:
    assert caps.lowered({**body, "seed": 1}, 100, 5) == ({**body, "seed": 1, **now}, now)


def test_without_caps_nothing_is_lowered() -> None:
    body = {"max_tokens": 1 << 31, "top_logprobs": 20}
    assert caps.lowered(body, 0, 20) == (body, {})


def test_caps_are_told_as_a_header_says_them() -> None:
    assert caps.told({"max_tokens": 512, "top_logprobs": 5}) == "max_tokens=512, top_logprobs=5"
