"""What can be seen of a box that is sealed or doesn't run: the computer, and files that need no keys."""

from collections.abc import Callable
from typing import Final

from appliance import clock
from appliance.bundle.update.state import Places
from appliance.config import Settings
from appliance.errors import HakoError
from appliance.health import registry
from appliance.health.box.parts import Plain
from appliance.health.box.update import taken_back
from appliance.health.finding import Finding, Look
from appliance.health.host import Host
from appliance.health.seen import Seen
from appliance.health.turns import looked
from appliance.inference import extras, manifest
from appliance.inference.verify import verify_files


def looks(plain: Plain, host: Host) -> list[Seen]:
    """One look of each check that needs no keys, now."""
    found = [looked(check, lambda each: each.look(host)) for check in registry.machine(plain.settings)]
    return found + [looked(check, lambda each: each.look(plain)) for check in registry.PLAIN]


def files(settings: Settings) -> list[Seen]:
    """The models' files, all read and compared with their sha256, and the last update: seconds for each GB."""
    now = clock.now()
    return [Seen(look(settings), "box", now) for look in _LOOKS]


def _models(settings: Settings) -> Look:
    folders = sorted(settings.models.iterdir()) if settings.models.is_dir() else []
    found: list[Finding] = []
    for folder in folders:
        try:
            model = manifest.read(folder)
            verify_files(folder, model)
        except HakoError:
            found.append(Finding("digests", "differs", "error", "HK-HLT-039", {"model": folder.name}, folder.name))
            continue
        if extras.missing(model.engine, model.name):
            found.append(Finding("models", "no_engine", "error", "HK-HLT-037", {"model": model.id}, model.id))
    figures = {"count": len(folders), "total": len(folders)}
    differ = any(each.check == "digests" for each in found)
    return Look("digests", "differ" if differ else "read", "", figures, found, is_known=bool(folders))


def _update(settings: Settings) -> Look:
    last = Places(settings.releases, settings.data_dir).read()
    params, found = {"version": last.target.version}, taken_back(last)
    if found:
        return Look("update", "", "", params, found)
    return Look("update", "trial" if last.is_trial else "", "", params, is_known=last.is_trial)


_LOOKS: Final[tuple[Callable[[Settings], Look], ...]] = (_models, _update)
