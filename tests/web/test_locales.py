"""Both catalogues say the same things, and errors become sentences that never show a hole."""

import pytest

from appliance import errors
from appliance.errors import BadInputError, HakoError, WrongPasswordError
from webui import locales


def every_error(kind: type[HakoError] = HakoError) -> set[type[HakoError]]:
    return {kind}.union(*(every_error(child) for child in kind.__subclasses__()))


def test_both_languages_have_the_same_keys():
    assert set(locales.catalogue("ja")) == set(locales.catalogue("en"))


def test_both_languages_name_the_same_placeholders():
    ja, en = locales.catalogue("ja"), locales.catalogue("en")
    different = {key for key in ja if locales.placeholders(ja[key]) != locales.placeholders(en[key])}
    assert not different


def test_no_sentence_is_empty():
    for language in locales.LANGUAGES:
        assert not [key for key, text in locales.catalogue(language).items() if not text.strip()]


@pytest.mark.parametrize("language", locales.LANGUAGES)
def test_every_error_code_has_a_sentence(language):
    codes = {kind.code for kind in every_error()}
    missing = {code for code in codes if f"error.{code}" not in locales.catalogue(language)}
    assert not missing


def test_no_two_errors_share_a_code():
    kinds = [kind for kind in every_error() if kind.__module__ == errors.__name__]
    assert len({kind.code for kind in kinds}) == len(kinds)


def test_a_sentence_with_all_its_figures_is_whole():
    text = locales.sentence(WrongPasswordError(tries_left=3), "en")
    assert text.endswith("3 tries left.")


@pytest.mark.parametrize("language", locales.LANGUAGES)
def test_a_sentence_without_its_figure_is_left_out(language):
    text = locales.sentence(WrongPasswordError(), language)
    assert text
    assert "{" not in text
    assert "tries" not in text
    assert "あと" not in text


def test_the_only_sentence_stays_with_a_dash_for_the_figure():
    assert locales.fill("Only {n} here", {}, "en") == "Only – here"


def test_values_are_not_read_as_placeholders_again():
    text = locales.sentence(BadInputError(field="{limit_mb.__class__}"), "en")
    assert "{limit_mb.__class__}" in text


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("ja", "ja"),
        ("en-GB,en;q=0.9,ja;q=0.1", "en"),
        ("fr,ja;q=0.5,en;q=0.4", "ja"),
        ("fr", "ja"),
        ("", "ja"),
        ("en;q=0", "ja"),
        ("en;q=abc", "ja"),
        ("*" * 5000, "ja"),
    ],
)
def test_the_browsers_wish_is_read(accept, expected):
    assert locales.choose(accept=accept) == expected


def test_the_first_known_wish_wins():
    assert locales.choose(None, "xx", "en", accept="ja") == "en"
