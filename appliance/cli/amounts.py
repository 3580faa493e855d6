"""Amounts as people say them: bytes, durations, and what a model takes of the box's memory."""

from typing import Any

from appliance.cli.context import say

_MB, _GB = 10**6, 10**9


def size(count: int) -> str:
    """Bytes, e.g. 1.4 GB."""
    for unit, name in ((_GB, "GB"), (_MB, "MB")):
        if count >= unit:
            return f"{count / unit:.{0 if count >= 10 * unit else 1}f} {name}"
    return f"{count / 1000:.0f} kB"


def duration(seconds: float) -> str:
    """Minutes or hours, as exactly as an estimate is, e.g. 5 min or 2.5 h."""
    minutes = seconds / 60
    return f"{max(1, round(minutes))} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def memory(estimate: dict[str, Any]) -> str:
    """The verdict of an estimate, and what it is made of."""
    verdict = say(f"cli.models.{estimate['verdict']}")
    if estimate["cause"] == "limit":
        over, limit = size(estimate["over_bytes"]), size(estimate["limit_bytes"])
        verdict = say("cli.models.over_limit", over=over, limit=limit)
    sizes = {key: size(estimate[f"{key}_bytes"]) for key in ("needed", "weights", "cache", "scratch", "available")}
    text = say("cli.models.estimate", context=estimate["context"], parallel=estimate["parallel"], **sizes)
    return f"{verdict}. {text}"
