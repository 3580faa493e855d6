"""The box in six lamps, for a display that hangs on a wall: no names of anything that people have brought."""

from collections.abc import Mapping, Sequence
from typing import Final

from appliance.health.finding import State, worst
from appliance.health.health import Health, is_snoozed

LAMPS: Final[Mapping[str, Sequence[str]]] = {
    "answers": ("models", "provider", "queue", "index", "engines"),
    "gap": ("egress", "ports"),
    "backup": ("backup",),
    "disk": ("disk", "inodes", "smart", "filesystem", "database"),
    "machine": (),
    "record": ("audit", "digests", "keys", "secrets", "update", "certificate"),
}
"""What each stands for; `machine` for all the rest."""


def lamps(health: Health, at: float) -> dict[str, State]:
    """The state of each at a time; unknown where nothing has looked yet."""
    of_check = {check: lamp for lamp, checks in LAMPS.items() for check in checks}
    told: dict[str, list[State]] = {lamp: [] for lamp in LAMPS}
    seen = set()
    for name, each in health.looks.items():
        lamp = of_check.get(name, "machine")
        seen.add(lamp)
        # a sensor that this machine lacks would leave its lamp unknown for ever
        if not each.look.is_known and not each.look.findings and lamp != "machine":
            told[lamp].append("unknown")
    for found in health.findings:
        if not is_snoozed(found, at):
            told[of_check.get(found.finding.check, "machine")].append(found.finding.state)
    return {lamp: worst(states) if lamp in seen else "unknown" for lamp, states in told.items()}
