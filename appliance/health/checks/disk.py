"""Room on the disk of the data folder, and when it will be full if it goes on filling as in the last hours."""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from appliance.health.check import Group
from appliance.health.edge import Serious, level
from appliance.health.finding import Finding, Look
from appliance.health.host import Host

_GIB: Final = 1 << 30
_TIGHT: Final = 5 * _GIB
_DAY_S: Final = 86400.0
_HOUR_S: Final = 3600.0


def boottime() -> float:
    """Seconds since the start of the machine, sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


Point = tuple[float, float]
"""Seconds on a clock that never jumps, and the bytes that were free."""


def days_left(points: Sequence[Point]) -> float | None:
    """Days until nothing is free, by least squares; None below an hour of points or when it isn't filling."""
    if len(points) < 2 or points[-1][0] - points[0][0] < _HOUR_S:
        return None
    middle_at = sum(at for at, _ in points) / len(points)
    middle = sum(free for _, free in points) / len(points)
    spread = sum((at - middle_at) ** 2 for at, _ in points)
    slope = sum((at - middle_at) * (free - middle) for at, free in points) / spread
    return points[-1][1] / -slope / _DAY_S if slope < 0 else None


class DiskCheck:
    """Keeps its points of the last day itself; after a start it forecasts again after an hour."""

    name = "disk"
    group: Group = "machine"
    every_s = 300.0
    codes: Mapping[str, str] = {"low": "HK-HLT-001", "filling": "HK-HLT-002"}

    def __init__(self, folder: Path, boottime: Callable[[], float] = boottime) -> None:
        """`folder` is the data folder."""
        self._folder = folder
        self._boottime = boottime
        self._points: deque[Point] = deque(maxlen=int(_DAY_S / self.every_s))
        self._was: Serious | None = None

    def look(self, host: Host) -> Look:
        disk = host.disk(self._folder)
        if disk is None or disk.total <= 0 or not 0 <= disk.free <= disk.total:
            return Look(self.name, note="unreadable", is_known=False)
        used = 1 - disk.free / disk.total
        self._points.append((self._boottime(), float(disk.free)))
        self._was = level(used, warning=0.8, error=0.9, was=self._was, slack=0.02)
        if disk.free < _TIGHT:
            self._was = "error"
        params = {
            "percent": round(used * 100),
            "free": round(disk.free / _GIB, 1),
            "total": round(disk.total / _GIB, 1),
        }
        findings: list[Finding] = []
        if self._was:
            findings.append(Finding(self.name, "low", self._was, self.codes["low"], params))
        days = days_left(self._points)
        if days is not None and days < 7:
            state: Serious = "error" if days < 1 else "warning"
            findings.append(Finding(self.name, "filling", state, self.codes["filling"], {"days": round(days, 1)}))
        return Look(self.name, "used", "free", params, findings, {"disk.used": used})
