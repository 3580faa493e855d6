"""JSON of files that nobody has vouched for: read so strictly that no second reader can find something else in it."""

import json
from collections.abc import Collection
from typing import Any


class DoubtfulError(Exception):
    """Not JSON, or not what is expected of it; the text is for the log."""


def read(data: bytes, longest: int) -> dict[str, Any]:
    """The object in `data`, without keys that come twice and numbers that are none.

    Raises:
        DoubtfulError: for everything that is not right.
    """
    if len(data) > longest:
        raise DoubtfulError("is too long")
    try:
        said = json.loads(data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise DoubtfulError("is not JSON") from None
    if not isinstance(said, dict):
        raise DoubtfulError("is not a list of settings")
    return said


def part(said: dict[str, Any], key: str) -> dict[str, Any]:
    """The object at `key`; an empty one if there is none.

    Raises:
        DoubtfulError: something else is there.
    """
    value = said.get(key, {})
    if not isinstance(value, dict):
        raise DoubtfulError(f"{key} is not a list of settings")
    return value


def demand_known(said: dict[str, Any], known: Collection[str], where: str) -> None:
    """Raises DoubtfulError if `said` has other keys than `known`."""
    if said.keys() - set(known):
        raise DoubtfulError(f"{where} has a setting that is not known")


def number(said: dict[str, Any], key: str, least: int, most: int) -> int:
    """The whole number at `key`.

    Raises:
        DoubtfulError: there is none, or a smaller or larger one.
    """
    value = said.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise DoubtfulError(f"{key} is impossible or missing")
    return value


def text(said: dict[str, Any], key: str, default: str = "") -> str:
    """The text at `key`.

    Raises:
        DoubtfulError: something else is there.
    """
    value = said.get(key, default)
    if not isinstance(value, str):
        raise DoubtfulError(f"{key} is not a text")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key comes twice")
    return found


def _refuse(name: str) -> float:
    raise ValueError(name)
