"""Passwords: hashed with Argon2id, refused when they are easy to guess."""

import re
import secrets
import threading
import unicodedata
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from appliance.errors import BadInputError, WeakPasswordError

MIN_PASSWORD: Final = 15
"""Characters; NIST SP 800-63B-4 for a password that is the only factor."""

HASHER: Final = PasswordHasher(time_cost=1, memory_cost=46 * 1024, parallelism=1)
"""OWASP's first choice for Argon2id: 46 MiB, one pass."""

_MAX_CHARS: Final = 1024
_HASHING_AT_ONCE: Final = 2  # each takes 46 MiB, and anybody may ask for one
_DISTINCT: Final = 5
_UNIT_CHARS: Final = 8
_RUN_CHARS: Final = 4
_REST_CHARS: Final = 6
_NAME_CHARS: Final = 3

_ROWS: Final = (
    "01234567890",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiop@[",
    "asdfghjkl;:]",
    "zxcvbnm,./",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/",
    "!@#$%^&*()_+",
    "!\"#$%&'()=~|",
    "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわをん",
    "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲン",
    "いろはにほへとちりぬるを",
    "イロハニホヘトチリヌルヲ",
)
_RUNS: Final = tuple(row for ascending in _ROWS for row in (ascending, ascending[::-1]))
_WORDS: Final = (
    *("administrator", "changeme", "password", "p@ssw0rd", "p@ssword", "passw0rd", "passwort", "operator"),
    *("iloveyou", "letmein", "welcome", "default", "secret", "admin", "login", "guest", "hako", "pass", "root", "test"),
    *("パスワード", "ぱすわーど", "ようこそ", "ひみつ", "秘密", "管理者", "運用担当者", "ハコ", "はこ", "箱"),
)
_COMMON: Final = re.compile("|".join(map(re.escape, sorted(_WORDS, key=len, reverse=True))))
_REPEATED: Final = re.compile(r"(.)\1{2,}")


class Passwords:
    """Makes and checks the stored form of passwords."""

    def __init__(self, hasher: PasswordHasher = HASHER) -> None:
        """`hasher` sets the cost; hashes of another cost still verify, and are then `outdated`."""
        self._hasher = hasher
        self._places = threading.BoundedSemaphore(_HASHING_AT_ONCE)
        self._nobodys = hasher.hash(secrets.token_bytes(32))

    def hash(self, password: str) -> str:
        """What is stored instead of the password."""
        with self._places:
            return self._hasher.hash(_bytes(password))

    def matches(self, stored: str | None, password: str) -> bool:
        """Whether the password is the stored one; for nobody's (None) the same work, and never."""
        known = stored is not None and len(password) <= _MAX_CHARS
        with self._places:
            try:
                self._hasher.verify(stored if stored and known else self._nobodys, _bytes(password[:_MAX_CHARS]))
            except (VerificationError, InvalidHashError):
                return False
        return known

    def is_outdated(self, stored: str) -> bool:
        """Whether the hash was made at another cost than today's."""
        return self._hasher.check_needs_rehash(stored)


def normalise(password: str) -> str:
    """The same characters whatever keyboard they come from: NFKC makes half-width and full-width equal."""
    return unicodedata.normalize("NFKC", password)


def _bytes(password: str) -> bytes:
    return normalise(password).encode("utf-8", "surrogatepass")


def demand_strong(password: str, *names: str) -> None:
    """Refuse a password that is short or easy to guess. `names`: the account's own, which it must not contain.

    Raises:
        WeakPasswordError: with `min_length`.
        BadInputError: over 1024 characters.
    """
    if len(password) > _MAX_CHARS:
        raise BadInputError(field="password")
    # Both counts: half-width kana shrink when normalised, and some single characters grow to eighteen.
    if min(len(password), len(normalise(password))) < MIN_PASSWORD or _is_guessable(_fold(password), names):
        raise WeakPasswordError(min_length=MIN_PASSWORD)


def _fold(text: str) -> str:
    return normalise(text).casefold()


def _is_guessable(folded: str, names: tuple[str, ...]) -> bool:
    if len(set(folded)) < _DISTINCT or _is_repetition(folded):
        return True
    own = {part for name in names for part in (_fold(name), _fold(name).split("@")[0]) if len(part) >= _NAME_CHARS}
    if any(part in folded for part in own):
        return True
    return len(_without_the_obvious(folded)) < _REST_CHARS


def _is_repetition(text: str) -> bool:
    """Whether it is a short unit over and over, such as `abcabcabcabcabc`."""
    return any(text[unit:] == text[:-unit] for unit in range(1, _UNIT_CHARS + 1))


def _without_the_obvious(text: str) -> str:
    """What is left without keyboard and alphabet rows, common words, repeated characters and spaces."""
    without_rows = _without_runs(_COMMON.sub(" ", text))
    return "".join(_REPEATED.sub(" ", without_rows).split())


def _without_runs(text: str) -> str:
    kept, at = [], 0
    while at < len(text):
        end = at + _RUN_CHARS
        if len(text) >= end and any(text[at:end] in run for run in _RUNS):
            while end < len(text) and any(text[at : end + 1] in run for run in _RUNS):
                end += 1
            kept.append(" ")
            at = end
        else:
            kept.append(text[at])
            at += 1
    return "".join(kept)
