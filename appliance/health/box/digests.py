"""Whether the models' files are byte by byte what came: one model at a time is read again, each about once a week."""

from typing import Any, Final

from appliance import clock
from appliance.errors import HakoError
from appliance.health.box.models import VERIFY
from appliance.health.box.parts import Parts
from appliance.health.check import Group
from appliance.health.finding import Finding, Look
from appliance.inference.catalog import Catalog
from appliance.inference.verify import verify_files
from appliance.storage import settings_store

AGAIN_S: Final = 7 * 24 * 3600.0
_NAME: Final = "health.digests"


class DigestsCheck:
    """Each hour at most one model, the one that was read longest ago."""

    name = "digests"
    group: Group = "trust"
    every_s = 3600.0

    def look(self, parts: Parts) -> Look:
        known = Catalog(parts.plain.settings.models).all()
        read = _stored(parts)
        now = clock.now()
        ages = {model: now - float(read.get(model, {}).get("at", 0)) for model in known}
        oldest = max(ages, key=lambda model: ages[model], default=None)
        if oldest is not None and not 0 <= ages[oldest] < AGAIN_S:
            verify(parts, oldest)
            read = _stored(parts)
        found = [
            Finding("digests", "differs", "error", "HK-HLT-039", {"model": model}, model, VERIFY)
            for model in known
            if not read.get(model, {}).get("sound", True)
        ]
        figures = {"count": sum(model in read for model in known), "total": len(known)}
        return Look("digests", "differ" if found else "read", "weekly", figures, found)


def verify(parts: Parts, model: str) -> bool:
    """Read a model's files now and remember whether they are what came. Raises ModelNotFoundError."""
    catalog = Catalog(parts.plain.settings.models)
    folder = catalog.folder(model)
    try:
        verify_files(folder, catalog.get(model))
    except HakoError:
        if not catalog.has(model):
            raise
        is_sound = False
    else:
        is_sound = True
    stored = {name: said for name, said in _stored(parts).items() if catalog.has(name)}
    settings_store.put(parts.database, _NAME, {**stored, model: {"at": clock.now(), "sound": is_sound}})
    return is_sound


def _stored(parts: Parts) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = settings_store.get(parts.database, _NAME) or {}
    return found
