"""The box's own log for a support kit: of each line the fields that are known to hold no words of anybody."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from appliance.config import Settings
from appliance.health.host import Host

MOST: Final = 3000
"""Lines, the newest."""
_LONGEST: Final = 2 << 20
_UNITS: Final = "hako*"

_IDENTIFIER: Final = r"[A-Za-z_][A-Za-z0-9_.]{0,60}"
_FIELDS: Final[Mapping[str, re.Pattern[str]]] = {
    name: re.compile(pattern)
    for name, pattern in {
        "timestamp": r"\d{4}-\d\d-\d\dT[\d:.]{8,15}(Z|[+-]\d\d:\d\d)",
        "level": r"debug|info|warning|error|critical",
        "process": r"keys|inference|worker|health|web|egress|helper|serve|init",
        "event": r"request|uncaught|[a-z]+(_[a-z]+)+",
        "code": r"HK-[A-Z]{3,4}-\d{3}",
        "kind": _IDENTIFIER,
        "exception": _IDENTIFIER,
        "check": r"[a-z_]{1,30}",
        "verb": r"[a-z-]{1,30}",
        "method": r"GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS",
        "rule": r"/(api|v1|v2)(/[a-z0-9_<>:.-]{1,40}){0,8}",
        "where": r"main|thread|cleanup",
        "by": r"recovery|passphrase",
        "why": r"idle|new terms|room|context",
        "model": r"[A-Za-z0-9][A-Za-z0-9._:@+/-]{0,119}",
    }.items()
}
"""What a field's words have to look like; a word that doesn't is left out."""
_FIGURES: Final = frozenset(
    {
        "status", "ms", "seconds", "attempt", "count", "tokens", "used", "limit", "errno", "restart_in_s", "pid",
        "candidates", "documents", "problems", "tries_left",
    }
)  # fmt: skip
_PLACE: Final = re.compile(
    r"(?:^|/)((?:appliance|webui)/[a-z0-9_/]{1,100}\.py:\d{1,6} <?[A-Za-z_][A-Za-z0-9_]{0,60}>?)$"
)
"""A place in the box's own code; where that is installed may be in somebody's home."""


def redacted(line: str) -> dict[str, Any] | None:
    """What may leave of a line; None if it isn't one of the box's own log."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    kept: dict[str, Any] = {}
    for name, pattern in _FIELDS.items():
        value = said.get(name)
        if isinstance(value, str) and pattern.fullmatch(value):
            kept[name] = value
    for name in sorted(_FIGURES & said.keys()):
        if isinstance(said[name], int | float):
            kept[name] = said[name]
    if isinstance(trace := said.get("trace"), list):
        kept["trace"] = [found[1] for each in trace if isinstance(each, str) and (found := _PLACE.search(each))]
    return kept if "event" in kept else None


def read(settings: Settings, host: Host) -> list[str]:
    """The newest lines, oldest first, each as JSON; from the journal where there are units, else from the log file."""
    file = settings.data_dir / "log" / "hako.log"
    lines: Iterable[str] = _tail(file)
    if settings.accounts.are_separate or not file.exists():
        told = host.run(
            ("journalctl", f"--unit={_UNITS}", "--output=cat", "--no-pager", "--reverse", f"--lines={MOST}")
        )
        lines = reversed((told or "").splitlines())
    kept = [found for line in lines if (found := redacted(line))]
    return [json.dumps(each, separators=(",", ":")) for each in kept[-MOST:]]


def _tail(file: Path) -> list[str]:
    try:
        with file.open("rb") as log:
            log.seek(max(0, file.stat().st_size - _LONGEST))
            return log.read(_LONGEST).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
