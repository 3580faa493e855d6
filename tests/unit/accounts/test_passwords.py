"""Passwords: what is refused as easy to guess, and how the stored form behaves."""

import pytest
from argon2 import PasswordHasher

from appliance.accounts.passwords import HASHER, MIN_PASSWORD, Passwords, demand_strong
from appliance.errors import BadInputError, WeakPasswordError

CHEAP = {"time_cost": 1, "memory_cost": 8, "parallelism": 1}


@pytest.mark.parametrize(
    "password",
    [
        "tealeaves under the bridge",
        "correct horse battery staple",
        "kD9!fLq2#vX7pZ_",
        "あめのひはへやでほんをよむのがいい",
        "山の上の小さな図書館で静かに読む本",
        "my password is about seven grey herons",
        "2026年の春に買った青い自転車です",
    ],
)
def test_a_phrase_of_ones_own_is_taken(password: str) -> None:
    demand_strong(password, "bob", "ボブ")


@pytest.mark.parametrize(
    "password",
    [
        "",
        "short but odd!",  # 14
        "aaaaaaaaaaaaaaaaaaaa",
        "                    ",
        "ababababababababab",
        "くるくるくるくるくるくるくるくる",
        "Tr0ub4d!Tr0ub4d!",
        "123456789012345678",
        "987654321098765432",
        "abcdefghijklmnopqrs",
        "qwertyuiopasdfghjkl",
        "1qaz2wsx3edc4rfv",
        "あいうえおかきくけこさしすせそ",
        "passwordpassword2026",
        "Password12345678!",
        "password hako hako",
        "パスワードパスワードパスワード",
        "ﾊﾟｽﾜｰﾄﾞﾊﾟｽﾜｰﾄﾞ123",
        "ｐａｓｓｗｏｒｄ１２３４５６７",
        "admin administrator",
        "hakohakohako!!!!!!!",
        "aaaaabbbbbcccccddddd",
    ],
)
def test_what_a_guesser_tries_first_is_refused(password: str) -> None:
    with pytest.raises(WeakPasswordError) as caught:
        demand_strong(password, "bob", "ボブ")
    assert caught.value.params == {"min_length": MIN_PASSWORD}


@pytest.mark.parametrize(
    ("name", "display_name"),
    [("mallory", "M"), ("MALLORY", "M"), ("mallory@city.example", "M"), ("m", "Mallory"), ("m", "Ｍａｌｌｏｒｙ")],
)
def test_ones_own_name_inside_is_refused(name: str, display_name: str) -> None:
    demand_strong("the herons of Mallory lake", "bob", "Bob")
    with pytest.raises(WeakPasswordError):
        demand_strong("the herons of Mallory lake", name, display_name)


def test_a_name_of_two_letters_forbids_nothing() -> None:
    demand_strong("the herons of the grey lake", "he", "の")


def test_characters_are_counted_not_bytes() -> None:
    demand_strong("静かな山の朝に鳥が三羽来て鳴く", "bob", "Bob")  # 15 characters
    with pytest.raises(WeakPasswordError):
        demand_strong("静かな山の朝に鳥が三羽来て鳴", "bob", "Bob")


def test_a_single_sign_that_grows_when_normalised_is_still_one() -> None:
    with pytest.raises(WeakPasswordError):
        demand_strong("\ufdfa", "bob", "Bob")  # one ligature, eighteen characters in NFKC


def test_an_endless_password_is_refused_unread() -> None:
    with pytest.raises(BadInputError):
        demand_strong("long phrase " * 100, "bob", "Bob")


def test_half_width_and_full_width_are_the_same_password() -> None:
    passwords = Passwords(PasswordHasher(**CHEAP))
    stored = passwords.hash("ﾔﾏﾉﾄｼｮｶﾝ with Ｃａｆｅ\u0301")
    assert passwords.matches(stored, "ヤマノトショカン with Café")
    assert not passwords.matches(stored, "ヤマノトショカン with Cafe")


def test_the_stored_form_is_argon2id_with_its_own_salt() -> None:
    passwords = Passwords(PasswordHasher(**CHEAP))
    first, second = passwords.hash("one and the same phrase"), passwords.hash("one and the same phrase")
    assert first.startswith("$argon2id$")
    assert first != second


def test_the_shipped_cost_is_at_least_owasps() -> None:
    stored = Passwords().hash("one phrase at full cost")
    assert HASHER.memory_cost >= 46 * 1024
    assert f"m={HASHER.memory_cost},t={HASHER.time_cost}" in stored


def test_a_hash_of_another_cost_verifies_and_is_outdated() -> None:
    old = Passwords(PasswordHasher(time_cost=1, memory_cost=16, parallelism=1)).hash("an older phrase here")
    passwords = Passwords(PasswordHasher(**CHEAP))
    assert passwords.matches(old, "an older phrase here")
    assert passwords.is_outdated(old)
    assert not passwords.is_outdated(passwords.hash("an older phrase here"))


@pytest.mark.parametrize("broken", ["", "x", "$argon2id$v=19$m=8,t=1,p=1$c2FsdA$"])
def test_a_broken_hash_matches_nothing(broken: str) -> None:
    assert not Passwords(PasswordHasher(**CHEAP)).matches(broken, "any phrase at all")
