"""How the box is, as JSON: the same for pages, programs and the terminal."""

from typing import Any

from appliance.clock import iso
from appliance.health.finding import Finding, worst
from appliance.health.health import Health, is_snoozed
from appliance.health.seen import Seen
from appliance.health.store import Open, worst_first

Json = dict[str, Any]


def health(now: Health, at: float) -> Json:
    """All of it; findings the worst first."""
    return {
        "state": now.state,
        "checked_at": iso(now.checked_at) if now.checked_at is not None else None,
        "checks": [check(name, seen) for name, seen in now.looks.items()],
        "findings": [finding(found, at) for found in now.findings],
    }


def looks(seen: list[Seen], at: float) -> Json:
    """Of looks that were made just now and are kept nowhere."""
    found = worst_first(Open(each, at, None) for one in seen for each in one.look.findings)
    states = [each.finding.state for each in found]
    return health(Health(worst(list(states)), at, {one.look.check: one for one in seen}, found), at)


def check(name: str, seen: Seen) -> Json:
    """One tile."""
    look = seen.look
    return {
        "name": name,
        "group": seen.group,
        "state": look.state,
        "value": {"word": look.value, "params": look.params} if look.value else None,
        "note": {"word": look.note, "params": look.params} if look.note else None,
        "checked_at": iso(seen.at),
    }


def finding(found: Open, at: float) -> Json:
    """One thing that isn't as it should be."""
    each: Finding = found.finding
    return {
        "key": each.key,
        "check": each.check,
        "name": each.name,
        "state": each.state,
        "code": each.code,
        "params": each.params,
        "since": iso(found.since),
        "snoozed_until": iso(found.snoozed_until) if is_snoozed(found, at) and found.snoozed_until else None,
        "fix": None if each.fix is None else {"kind": each.fix.kind, "name": each.fix.name},
    }
