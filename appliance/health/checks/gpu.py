"""NVIDIA GPUs: whether their driver answers, their memory, temperature and errors; without one all is well."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from appliance.health.check import Group
from appliance.health.edge import Serious, level
from appliance.health.finding import Finding, Look
from appliance.health.host import Host
from appliance.machine.nvidia import Gpu, Unseen, gpus

_GIB: Final = 1 << 30
_LIMIT: Final = 90.0
"""°C where a card doesn't say its own."""


class GpuCheck:
    name = "gpu"
    group: Group = "machine"
    every_s = 60.0
    codes: Mapping[str, str] = {"unseen": "HK-HLT-020", "faulty": "HK-HLT-021", "hot": "HK-HLT-022"}

    def __init__(self, ask: Callable[[], Sequence[Gpu] | Unseen] = gpus) -> None:
        self._ask = ask
        self._was: dict[int, Serious | None] = {}

    def look(self, host: Host) -> Look:
        if not host.glob("/dev/nvidia[0-9]*"):
            return Look(self.name, "none", "none")
        cards = self._ask()
        if isinstance(cards, str) or not cards:
            reason = cards if isinstance(cards, str) else "driver"
            finding = Finding(self.name, "unseen", "warning", self.codes["unseen"])
            return Look(self.name, "unseen", reason, findings=[finding])
        findings: list[Finding] = []
        for number, card in enumerate(cards):
            params: dict[str, str | int | float] = {"number": number + 1}
            if card.errors:
                findings.append(Finding(self.name, "faulty", "error", self.codes["faulty"], params, str(number)))
            if card.celsius is not None:
                limit, was = card.limit or _LIMIT, self._was.get(number)
                self._was[number] = state = level(card.celsius, warning=limit - 5, error=limit, was=was, slack=3)
                if state:
                    params |= {"celsius": round(card.celsius)}
                    findings.append(Finding(self.name, "hot", state, self.codes["hot"], params, str(number)))
        used, total = sum(card.used for card in cards), sum(card.total for card in cards)
        measures = {"gpu.memory": used / total} if total else {}
        if degrees := [card.celsius for card in cards if card.celsius is not None]:
            measures["gpu.temperature"] = max(degrees)
        tile = {"used": round(used / _GIB, 1), "total": round(total / _GIB, 1), "count": len(cards)}
        return Look(self.name, "memory", "count", tile, findings, measures)
