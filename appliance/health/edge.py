"""Levels with two edges: one that was reached is left only a little further back, so that it doesn't flicker."""

from typing import Literal

Serious = Literal["warning", "error"]


def level(value: float, *, warning: float, error: float, was: Serious | None, slack: float) -> Serious | None:
    """For values where higher is worse. `was` is what the last look said, `slack` how far back an edge is left."""
    if value >= error - (slack if was == "error" else 0):
        return "error"
    if value >= warning - (slack if was else 0):
        return "warning"
    return None
