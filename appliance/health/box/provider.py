"""What loaded models really run on: the session of each says so, and it may not be the GPU that is meant to be."""

from appliance.errors import InferenceUnreachableError
from appliance.health.box.parts import Parts
from appliance.health.check import Group
from appliance.health.finding import Finding, Look, Params
from appliance.inference.client import InferenceClient


class ProviderCheck:
    """Of the models that are loaded now."""

    name = "provider"
    group: Group = "box"
    every_s = 60.0

    def look(self, parts: Parts) -> Look:
        settings = parts.plain.settings
        asked = settings.inference.provider
        try:
            states = InferenceClient(settings.inference_socket).status()
        except InferenceUnreachableError:
            return Look("provider", note="silent", is_known=False)
        used = {model: str(now["provider"]) for model, now in states.items() if now.get("provider")}
        if not used:
            return Look("provider", note="nothing_loaded", is_known=False)
        found = [
            Finding("provider", "not_cuda", "warning", "HK-HLT-040", {"model": model, "provider": provider}, model)
            for model, provider in sorted(used.items())
            if asked == "cuda" and provider != "cuda"
        ]
        found += [
            Finding("provider", "fell_back", "warning", "HK-HLT-040", {"model": model, "provider": used[model]}, model)
            for model, now in sorted(states.items())
            if model in used and now.get("fell_back") and asked != "cuda"
        ]
        figures: Params = {"used": ", ".join(sorted({name.upper() for name in used.values()})), "loaded": len(used)}
        return Look("provider", "used", "cuda_asked" if asked == "cuda" else "loaded", figures, found)
