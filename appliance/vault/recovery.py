"""The recovery key on paper: 160 random bits as eight groups of five characters, each group with its own check.

The fifth character of a group is a checksum over GF(32) of the group's number and its four other characters. Each
place has another weight and none is zero, so that one wrong character, two swapped characters and two swapped
groups are always noticed, and the group can be named.
"""

import secrets
import unicodedata
from collections.abc import Sequence

from appliance.errors import BadInputError, RecoveryTypoError

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base32: no I, L, O, U."""

GROUPS = 8
GROUP_CHARS = 5
SECRET_BYTES = 20
LONGEST_TEXT = 1024

_BITS = 5
_REDUCTION = 0b100101
"""x⁵ + x² + 1: x then runs through all 31 values that aren't zero."""

_LOOKALIKES = str.maketrans("OIL", "011")
_JAPANESE_DASHES = "−ー"
"""What a Japanese keyboard gives for a hyphen; Unicode doesn't count them as dashes."""


def new_secret() -> bytes:
    """A new random secret of 20 bytes."""
    return secrets.token_bytes(SECRET_BYTES)


def as_text(secret: bytes) -> str:
    """The 20 bytes as they are printed: `ABCDE-FGHJK-…`."""
    if len(secret) != SECRET_BYTES:
        raise ValueError("a recovery secret has 20 bytes")
    rest = int.from_bytes(secret, "big")
    values: list[int] = []
    for _ in range(GROUPS * (GROUP_CHARS - 1)):
        values.append(rest & 31)
        rest >>= _BITS
    values.reverse()
    groups = [values[at : at + GROUP_CHARS - 1] for at in range(0, len(values), GROUP_CHARS - 1)]
    return "-".join(
        "".join(ALPHABET[value] for value in [*group, _check(number, group)])
        for number, group in enumerate(groups, start=1)
    )


def from_text(text: str) -> bytes:
    """The secret of a key as somebody typed it: case, spaces, hyphens, O for 0, I and L for 1 make no difference.

    Raises:
        RecoveryTypoError: `group`, counted from 1, is the first that can't be right.
        BadInputError: far longer than any key.
    """
    if len(text) > LONGEST_TEXT:
        raise BadInputError("recovery key too long", field="recovery_key")
    groups = _groups(text)
    number = 0
    for place in range(1, GROUPS + 1):
        values = _values(groups[place - 1]) if place <= len(groups) else None
        if values is None or _check(place, values[:-1]) != values[-1]:
            raise RecoveryTypoError(group=place)
        for value in values[:-1]:
            number = number << _BITS | value
    if len(groups) > GROUPS:
        raise RecoveryTypoError("too long", group=GROUPS)
    return number.to_bytes(SECRET_BYTES, "big")


def _groups(text: str) -> list[str]:
    """Groups as typed where their number says so, e.g. with one character missing; else cut every five characters."""
    plain = unicodedata.normalize("NFKC", text).upper().translate(_LOOKALIKES)
    typed = "".join(" " if _separates(char) else char for char in plain).split()
    joined = "".join(typed)
    if len(typed) == GROUPS and len(joined) != GROUPS * GROUP_CHARS:
        return typed
    return [joined[at : at + GROUP_CHARS] for at in range(0, len(joined), GROUP_CHARS)]


def _separates(char: str) -> bool:
    return char.isspace() or char in _JAPANESE_DASHES or unicodedata.category(char) == "Pd"


def _values(group: str) -> list[int] | None:
    """The five numbers of a group, or None if it has another length or a character that no key has."""
    values = [ALPHABET.find(char) for char in group]
    return values if len(values) == GROUP_CHARS and min(values) >= 0 else None


def _check(number: int, values: Sequence[int]) -> int:
    check = number
    for value in values:
        check = _times_x(check) ^ value
    return _times_x(check)


def _times_x(value: int) -> int:
    doubled = value << 1
    return doubled ^ _REDUCTION if doubled > 31 else doubled
