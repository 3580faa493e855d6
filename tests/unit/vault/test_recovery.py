"""The recovery key on paper: what is printed can be typed back, and what is mistyped is named."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.errors import BadInputError, RecoveryTypoError
from appliance.vault import recovery

untimed = settings(deadline=None, max_examples=50)
secrets_ = st.binary(min_size=recovery.SECRET_BYTES, max_size=recovery.SECRET_BYTES)


def wrong_group(text: str) -> int | None:
    """The group that is refused, or None if the text is taken."""
    try:
        recovery.from_text(text)
    except RecoveryTypoError as error:
        group = error.params["group"]
        assert isinstance(group, int)
        return group
    return None


@untimed
@given(secrets_)
def test_what_is_printed_can_be_typed_back(secret: bytes) -> None:
    text = recovery.as_text(secret)
    groups = text.split("-")
    assert [len(group) for group in groups] == [recovery.GROUP_CHARS] * recovery.GROUPS
    assert set("".join(groups)) <= set(recovery.ALPHABET)
    assert recovery.from_text(text) == secret


def test_each_new_secret_is_another_one_of_at_least_128_bits() -> None:
    made = {recovery.new_secret() for _ in range(50)}
    assert len(made) == 50
    assert {len(secret) * 8 for secret in made} == {160}


@settings(deadline=None, max_examples=15)
@given(secrets_)
def test_every_single_wrong_character_is_caught_and_its_group_named(secret: bytes) -> None:
    text = recovery.as_text(secret)
    for place, char in enumerate(text):
        if char == "-":
            continue
        for other in recovery.ALPHABET.replace(char, ""):
            assert wrong_group(text[:place] + other + text[place + 1 :]) == place // 6 + 1


@untimed
@given(secrets_, st.integers(0, 7), st.integers(0, 4), st.integers(0, 4))
def test_two_swapped_characters_of_a_group_are_caught(secret: bytes, group: int, first: int, second: int) -> None:
    groups = recovery.as_text(secret).split("-")
    chars = list(groups[group])
    chars[first], chars[second] = chars[second], chars[first]
    changed = "".join(chars) != groups[group]
    groups[group] = "".join(chars)
    assert wrong_group("-".join(groups)) == (group + 1 if changed else None)


@untimed
@given(secrets_, st.integers(0, 7), st.integers(0, 7))
def test_two_swapped_groups_are_caught(secret: bytes, first: int, second: int) -> None:
    groups = recovery.as_text(secret).split("-")
    groups[first], groups[second] = groups[second], groups[first]
    assert wrong_group("-".join(groups)) == (min(first, second) + 1 if first != second else None)


@untimed
@given(secrets_, st.data())
def test_spaces_hyphens_case_and_lookalikes_make_no_difference(secret: bytes, data: st.DataObject) -> None:
    looks = {"0": "0Oo", "1": "1IiLl"}
    typed = ""
    for char in recovery.as_text(secret).replace("-", ""):
        typed += data.draw(st.sampled_from(looks.get(char, char + char.lower())))
        typed += data.draw(st.sampled_from(["", "", "", " ", "-", " - ", "\n", "\u3000", "ー", "–"]))
    assert recovery.from_text(typed) == secret


def test_full_width_letters_of_a_japanese_keyboard_are_taken() -> None:
    secret = bytes(range(20))
    wide = "".join(chr(ord(char) + 0xFEE0) for char in recovery.as_text(secret))
    assert recovery.from_text(wide) == secret


def test_a_missing_character_names_its_group_when_groups_are_apart() -> None:
    groups = recovery.as_text(bytes(range(20))).split("-")
    for number in range(recovery.GROUPS):
        short = [*groups]
        short[number] = short[number][1:]
        assert wrong_group(" ".join(short)) == number + 1


@pytest.mark.parametrize(("text", "group"), [("", 1), ("-", 1), ("U" * 40, 1), ("回復キー", 1)])
def test_what_is_no_key_at_all_is_refused(text: str, group: int) -> None:
    assert wrong_group(text) == group


def test_a_key_that_ends_early_or_late_is_refused_at_its_end() -> None:
    text = recovery.as_text(bytes(range(20)))
    assert wrong_group(text[:-6]) == 8
    assert wrong_group(text + "0") == 8
    assert wrong_group(text + "-00000") == 8


@untimed
@given(st.text(max_size=60))
def test_any_text_is_either_a_key_or_refused(text: str) -> None:
    group = wrong_group(text)
    assert group is None or 1 <= group <= recovery.GROUPS


def test_far_too_long_a_text_is_refused() -> None:
    with pytest.raises(BadInputError):
        recovery.from_text("0" * 2000)


def test_only_a_whole_secret_is_printed() -> None:
    with pytest.raises(ValueError):
        recovery.as_text(b"short")
