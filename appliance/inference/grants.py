"""A place at a running model, and what who waits for one is told."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from appliance.inference.spawn import Child

State = Literal["idle", "loading", "loaded", "failed", "quarantined"]
Stage = Literal["queued", "loading"]
Waiting = Callable[[Stage, int, float | None], bool]
"""Told the stage, the place in the queue and the seconds it will take, if that is known, while somebody waits; False
when nobody waits any more."""


@dataclass(frozen=True, eq=False)
class Grant:
    """One place at a running child."""

    child: Child
    since: float
    """On the monotonic clock."""
    aside: bool = False
    """Beside the places: for what the child does at once, whatever it is writing."""
