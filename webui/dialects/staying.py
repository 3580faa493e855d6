"""How long a model stays in memory as clients say it, `keep_alive` or `ttl`: followed for who may manage models."""

import math
import re
from contextlib import suppress
from typing import Final

from appliance.accounts.permissions import Permission
from appliance.errors import HakoError
from webui.routing import Call

FOREVER: Final = -1.0
_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_NUMBER: Final = r"\d{1,12}(?:\.\d{0,9})?|\.\d{1,9}"
_PART: Final = re.compile(rf"({_NUMBER})(ns|us|µs|ms|s|m|h)")
_WHOLE: Final = re.compile(rf"([+-]?)(?:({_NUMBER})|((?:(?:{_NUMBER})(?:ns|us|µs|ms|s|m|h))+))")
_RIGHTS: Final = frozenset({Permission.MODELS_MANAGE, Permission.MODELS_REMOVE})
"""Who may take a model off the box may take it out of its memory, too."""


def seconds(wish: float | str | None) -> float | None:
    """Seconds of a number or of a text like `5m` or `1h30m`; -1 for ever, None where nothing is said that counts."""
    if isinstance(wish, str):
        found = _WHOLE.fullmatch(wish.strip())
        if found is None:
            return None
        sign, number, parts = found.groups()
        value = float(number) if number else sum(float(n) * _UNITS[unit] for n, unit in _PART.findall(parts))
        wish = -value if sign == "-" else value
    if wish is None or not math.isfinite(wish):
        return None
    return FOREVER if wish < 0 else float(wish)


def follow(call: Call, model: str, wish: float | str | None) -> None:
    """Once an answer has ended. Nothing of it may fail for this: it is passed over where it can't be followed."""
    stay = seconds(wish)
    if stay is None or not _RIGHTS & call.who.permissions:
        return
    with suppress(HakoError):
        call.gateway.stay(model, stay)
        if stay == 0:
            call.services.audit.record(call.who.name, "model-unloaded", call.gateway.model(model).id)
