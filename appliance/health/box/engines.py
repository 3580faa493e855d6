"""The engines that are installed: exactly one flavour of ONNX Runtime, and extras that fit it."""

from appliance.health.box.parts import Plain
from appliance.health.check import Group
from appliance.health.finding import Finding, Look
from appliance.inference import flavour, genai, legacy


class EnginesCheck:
    """Looks at names and versions of packages, and imports none."""

    name = "engines"
    group: Group = "box"
    every_s = 3600.0

    def look(self, plain: Plain) -> Look:  # noqa: ARG002 - the same for every box
        flavours, chats, old = flavour.installed(), genai.installed(), legacy.version()
        found = []
        if not flavour.is_sound(flavours):
            found.append(Finding("engines", "flavours", "error", "HK-HLT-057", {"count": len(flavours)}))
        if chats and tuple(chats) != flavours:
            found.append(Finding("engines", "mixed", "error", "HK-HLT-058", {"flavours": " + ".join(chats)}))
        extras = [*(["ctransformers"] if old else []), *(["onnxruntime-genai"] if chats else [])]
        note = "extras" if extras else "no_extras"
        return Look("engines", "flavour", note, {"flavour": "+".join(flavours), "extras": ", ".join(extras)}, found)
