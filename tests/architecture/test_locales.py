"""The words of the UI: each key once in each language, since a second one would quietly replace the first."""

import json
from collections import Counter
from typing import Any

import pytest

from webui import locales


def doubled(text: str) -> list[str]:
    """The keys that stand more than once in an object of a JSON text, at any depth."""
    found: list[str] = []

    def read(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found.extend(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        return dict(pairs)

    json.loads(text, object_pairs_hook=read)
    return found


@pytest.mark.parametrize("language", locales.LANGUAGES)
def test_no_key_stands_twice(language: str) -> None:
    assert doubled((locales.FOLDER / f"{language}.json").read_text("utf-8")) == []


def test_a_key_that_stands_twice_is_found() -> None:
    assert doubled('{"a": "1", "b": {"c": "2", "c": "3"}, "a": "4"}') == ["c", "a"]
