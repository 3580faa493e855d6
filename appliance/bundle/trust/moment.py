"""Which time it is, for judging signatures: the machine's clock, but never before what was last signed."""

from dataclasses import dataclass
from typing import Final

_WINDOW_SECONDS: Final = 15 * 365 * 24 * 3600
"""A clock that is further ahead of the newest signed statement is taken for wrong, not for right."""


@dataclass(frozen=True)
class Moment:
    """`at` in seconds since the epoch; `clock_is_credible` says whether it is the clock's own time."""

    at: float
    clock_is_credible: bool


def trusted_now(clock: float, floor: float) -> Moment:
    """The time to go by. The floor comes from signed data only, so that a clock set wrongly can't raise it."""
    credible = floor <= clock <= floor + _WINDOW_SECONDS
    return Moment(clock if credible else floor, credible)
