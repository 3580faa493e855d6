"""Whether the time can be believed: against the clock that runs on the battery, the product's year, and jumps."""

from collections.abc import Callable, Mapping
from typing import Final

from appliance import clock
from appliance.health.check import Group
from appliance.health.checks.disk import boottime
from appliance.health.edge import Serious, level
from appliance.health.finding import Finding, Look
from appliance.health.host import Host

BUILT: Final = 1767225600
"""1 January 2026 in UTC: no box of this product was switched on before."""
_JUMP_S: Final = 60.0
_SAID_S: Final = 3600.0


class ClockCheck:
    """A jump is said for an hour. The floor of signed dates needs the vault's key, so it isn't asked here."""

    name = "clock"
    group: Group = "trust"
    every_s = 60.0
    codes: Mapping[str, str] = {"wrong": "HK-HLT-018", "jumped": "HK-HLT-019"}

    def __init__(self, now: Callable[[], float] = clock.now, since_start: Callable[[], float] = boottime) -> None:
        self._now = now
        self._since_start = since_start
        self._offset: float | None = None
        self._jump: tuple[float, float] | None = None
        self._was: Serious | None = None

    def look(self, host: Host) -> Look:
        now, since_start = self._now(), self._since_start()
        findings: list[Finding] = []
        rtc = host.number("/sys/class/rtc/rtc0/since_epoch")
        if rtc is not None and not 0 <= rtc < 1 << 33:
            rtc = None
        apart = abs(now - rtc) if rtc is not None else 0.0
        self._was = level(apart, warning=300, error=float("inf"), was=self._was, slack=60)
        minutes = {"minutes": round(apart / 60)}
        if now < BUILT:
            findings.append(Finding(self.name, "wrong", "error", self.codes["wrong"], minutes))
        elif self._was:
            findings.append(Finding(self.name, "wrong", self._was, self.codes["wrong"], minutes))
        self._see_jump(now - since_start, since_start)
        if self._jump is not None:
            params = {"minutes": round(self._jump[1] / 60, 1)}
            findings.append(Finding(self.name, "jumped", "warning", self.codes["jumped"], params))
        value = "wrong" if findings else "good"
        if rtc is None:
            return Look(self.name, value, "alone", findings=findings, is_known=False)
        return Look(self.name, value, "apart", {"seconds": round(apart)}, findings)

    def _see_jump(self, offset: float, since_start: float) -> None:
        if self._offset is not None and abs(offset - self._offset) >= _JUMP_S:
            self._jump = (since_start, abs(offset - self._offset))
        self._offset = offset
        if self._jump is not None and since_start - self._jump[0] >= _SAID_S:
            self._jump = None
