"""Every error is in the manual: a heading with its code and the sentence that the user meets, in both languages."""

import re

import pytest

from appliance import errors
from appliance.errors import HakoError
from webui import locales
from webui.api.help_pages import FOLDER

BLANK = {"ja": "○", "en": "…"}
"""Stands for a name or a figure. A Japanese sentence would end at three dots."""

CODES = {kind.code for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, HakoError)}


def sections(language: str) -> dict[str, str]:
    """The text below each heading of the page."""
    text = (FOLDER / language / "errors.md").read_text("utf-8")
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("language", locales.LANGUAGES)
def test_every_code_has_a_heading_and_no_heading_has_outlived_its_code(language):
    headings = re.findall(r"^## (HK-.+)$", (FOLDER / language / "errors.md").read_text("utf-8"), flags=re.MULTILINE)
    assert sorted(headings) == sorted(CODES)


@pytest.mark.parametrize("language", locales.LANGUAGES)
def test_the_manual_quotes_the_sentence_that_is_shown(language):
    below, catalogue = sections(language), locales.catalogue(language)
    sentences = {code: BLANK[language].join(re.split(r"\{[^{}]*\}", catalogue[f"error.{code}"])) for code in CODES}
    assert not [code for code in sorted(CODES & set(below)) if f"> {sentences[code]}\n" not in below[code]]


@pytest.mark.parametrize("language", locales.LANGUAGES)
def test_every_code_says_what_happened_and_what_to_do(language):
    paragraphs = {
        code: re.findall(r"^[^>\s].+$", text, flags=re.MULTILINE) for code, text in sections(language).items()
    }
    assert not [code for code in sorted(CODES & set(paragraphs)) if len(paragraphs[code]) < 2]
