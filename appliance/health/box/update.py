"""How long ago the box got its release, whether the last change was taken back, and whether the other slot starts."""

from typing import Final

from appliance import __version__, clock
from appliance.bundle.update import history
from appliance.bundle.update.state import Phase, Places, Update
from appliance.bundle.update.system_state import SystemPlaces
from appliance.health.box.parts import Parts
from appliance.health.check import Group
from appliance.health.finding import Finding, Fix, Look, Params

_DAY_S: Final = 24 * 3600.0
_OLD_DAYS: Final = 180
_PAGE: Final = Fix("go", "/operate/update")


class UpdateCheck:
    """Counted from the last update that was kept, else from when the box was set up."""

    name = "update"
    group: Group = "box"
    every_s = 600.0

    def look(self, parts: Parts) -> Look:
        settings = parts.plain.settings
        now = Places(settings.releases, settings.data_dir).read()
        kept = [change.at for change in history.of(parts.database) if change.kept]
        with parts.database.read() as connection:
            begun = connection.execute("select min(created_at) from users").get
        since = max([*kept, *([float(begun)] if begun is not None else [])], default=None)
        found = taken_back(now, _PAGE)
        system = SystemPlaces(settings.releases).standing()
        if system is not None and system.alone:
            found.append(Finding("update", "alone", "warning", "HK-HLT-061", fix=Fix("go", "/operate/machine")))
        if since is None:
            return Look("update", "", "version", {"version": __version__}, found, is_known=bool(found))
        days = int(max(0.0, clock.now() - since) / _DAY_S)
        figures: Params = {"days": days, "version": __version__}
        if days > _OLD_DAYS:
            found.append(Finding("update", "old", "warning", "HK-HLT-048", figures, fix=_PAGE))
        return Look("update", "trial" if now.is_trial else "days", "version", figures, found)


def taken_back(last: Update, fix: Fix | None = None) -> list[Finding]:
    """Whether the last change came to nothing."""
    if not last.reason or last.phase not in (Phase.ROLLED_BACK, Phase.ROLLING_BACK):
        return []
    return [Finding("update", "taken_back", "warning", "HK-HLT-049", {"version": last.target.version}, fix=fix)]
