"""How long the certificate is good that the box shows to browsers."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from appliance import clock
from appliance.errors import CertificateUnreadableError
from appliance.health.check import Group
from appliance.health.edge import Serious
from appliance.health.finding import Finding, Look
from appliance.health.host import Host
from appliance.vault.certificates import described

_DAY_S: Final = 86400
_WARNING_DAYS: Final = 60
_ERROR_DAYS: Final = 14


class CertificateCheck:
    """Days left only become fewer, so there is no second edge."""

    name = "certificate"
    group: Group = "trust"
    every_s = 3600.0
    codes: Mapping[str, str] = {"expiring": "HK-HLT-025"}

    def __init__(self, file: Path | None, now: Callable[[], float] = clock.now) -> None:
        """`file`: the setting `web.tls_certificate`."""
        self._file = file
        self._now = now

    def look(self, host: Host) -> Look:
        if self._file is None:
            return Look(self.name, "none", "none")
        text = host.read(str(self._file))
        try:
            days = int((described(text or "").until - self._now()) // _DAY_S)
        except CertificateUnreadableError:
            return Look(self.name, note="unreadable", is_known=False)
        params = {"days": max(0, days)}
        if days >= _WARNING_DAYS:
            return Look(self.name, "days", "good", params)
        state: Serious = "error" if days < _ERROR_DAYS else "warning"
        finding = Finding(self.name, "expiring", state, self.codes["expiring"], params)
        return Look(self.name, "days", "soon", params, [finding])
