"""How the models are: there, whole as far as their sizes tell, answering as they did, not given up after crashes."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from appliance.errors import (
    EngineMissingError,
    GenaiMissingError,
    HakoError,
    InferenceUnreachableError,
    ModelChangedError,
    ModelDamagedError,
)
from appliance.health.box.parts import Parts
from appliance.health.check import Group
from appliance.health.finding import Finding, Fix, Look
from appliance.inference import extras
from appliance.inference.catalog import Catalog
from appliance.inference.client import InferenceClient
from appliance.inference.default_models import DefaultModels
from appliance.inference.manifest import Manifest

LOAD: Final = Fix("do", "load-model")
VERIFY: Final = Fix("do", "verify-model")
_ENGINE_CODES: Final = (EngineMissingError.code, GenaiMissingError.code)


class ModelsCheck:
    """Each minute; hashes nothing, see `digests`."""

    name = "models"
    group: Group = "box"
    every_s = 60.0

    def look(self, parts: Parts) -> Look:
        settings = parts.plain.settings
        catalog = Catalog(settings.models)
        known = catalog.all()
        try:
            states = InferenceClient(settings.inference_socket).status()
        except InferenceUnreachableError:
            silent = Finding("models", "silent", "error", "HK-HLT-033")
            return Look("models", "silent", "", {}, (silent,))
        found = [
            *(each for model in known.values() for each in _of_files(catalog.folder(model.id), model)),
            *(each for model, now in states.items() if model in known for each in _of_state(model, now)),
            *(_damaged(model) for model in catalog.damaged()),
            *_absent(parts, known),
        ]
        loaded = sum(now["state"] == "loaded" for now in states.values())
        figures = {"count": len(known), "loaded": loaded}
        waiting = sum(int(now["waiting"]) for now in states.values())
        return Look("models", "count", "loaded", figures, _once(found), {"answers.waiting": waiting})


def _of_files(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    for name, file in manifest.files.items():
        try:
            is_as_long = (folder / name).stat().st_size == file.size
        except OSError:
            is_as_long = False
        if not is_as_long:
            yield _damaged(manifest.id)
            return
    if extras.missing(manifest.engine, manifest.name):
        yield Finding("models", "no_engine", "error", "HK-HLT-037", {"model": manifest.id}, manifest.id)


def _of_state(model: str, now: Mapping[str, Any]) -> Iterator[Finding]:
    code = (now.get("error") or {}).get("code")
    if code == ModelDamagedError.code:
        yield _damaged(model)
    elif code == ModelChangedError.code:
        link = Fix("go", f"/operate/models/{model}")
        yield Finding("models", "changed", "error", "HK-HLT-034", {"model": model}, model, link)
    elif now["state"] == "quarantined":
        yield Finding("models", "quarantined", "error", "HK-HLT-035", {"model": model}, model, LOAD)
    elif now["state"] == "failed" and code not in _ENGINE_CODES:
        params = {"model": model, "why": str(code)}
        yield Finding("models", "failing", "error", "HK-HLT-036", params, model, LOAD)


def _absent(parts: Parts, known: Mapping[str, Manifest]) -> Iterator[Finding]:
    """What the box itself relies on."""
    for name in DefaultModels(parts.plain.settings).own():
        try:
            is_here = parts.gateway.model(name) is not None
        except HakoError:
            is_here = False
        if not is_here and name not in known:
            yield Finding(
                "models", "absent", "error", "HK-HLT-038", {"model": name}, name, Fix("go", "/operate/models")
            )


def _damaged(model: str) -> Finding:
    return Finding("models", "damaged", "error", "HK-HLT-032", {"model": model}, model, VERIFY)


def _once(found: list[Finding]) -> tuple[Finding, ...]:
    return tuple({each.key: each for each in found}.values())
