"""Which checks are due, and a look that never fails: a check that crashes is unknown, the others aren't."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, TypeVar

from appliance import clock, logs
from appliance.errors import HakoError
from appliance.health.check import Group
from appliance.health.finding import Look
from appliance.health.seen import Seen

log = logs.get(__name__)

CRASHED: Final = "crashed"
"""Note of a look that could not be made; its words are the same for every check."""


class Check(Protocol):
    """What is common to checks of the machine and of the box."""

    name: str
    group: Group
    every_s: float


C = TypeVar("C", bound=Check)


def due(checks: Sequence[C], last: Mapping[str, float], now: float) -> list[C]:
    """Those whose last look is too long ago, or in the future, since the clock was put back."""
    return [check for check in checks if not 0 <= now - last.get(check.name, -1e18) < check.every_s]


def looked(check: C, look: Callable[[C], Look]) -> Seen:
    """Take one look."""
    at = clock.now()
    try:
        seen = look(check)
    except HakoError as error:
        log.warning("check_failed", check=check.name, code=error.code)
        seen = Look(check.name, note=CRASHED, is_known=False)
    except Exception:  # a broken sensor must not take the other checks along
        log.exception("check_crashed", check=check.name)
        seen = Look(check.name, note=CRASHED, is_known=False)
    return Seen(seen, check.group, at)
