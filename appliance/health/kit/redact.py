"""What may leave in a support kit: figures, and words of a few fields in a narrow shape; all else is left out."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from appliance.config import Settings
from appliance.health.finding import Finding, Param, Params

Json = dict[str, Any]

LEFT_OUT: Final = "(left out)"
"""Stands where there is something that doesn't leave."""
_WORD: Final = re.compile(r"[A-Za-z0-9 .,:+@_/-]{1,120}")
_OWN_UNIT: Final = "hako"
_WORDS: Final = frozenset(
    {"device", "disk", "extras", "fan", "flavour", "flavours", "missing", "model", "provider", "used", "version", "why"}
)
"""Params of looks and findings whose words are the box's or the hardware's own. Not among them: names that somebody
gave to something, such as a UPS, a folder or a service of the machine."""
_SETTINGS: Final = frozenset(
    {"language", "cipher", "provider", "chat_model", "embedding_model", "reranker_model", "development", "samples"}
)
"""Settings whose words are told. Of others only whether they are set: names, paths and addresses stay here."""


def figures(params: Params) -> dict[str, Param]:
    """Of the params of a look or a finding what may leave."""
    return {name: _figure(name, value) for name, value in sorted(params.items())}


def _figure(name: str, value: Param) -> Param:
    if not isinstance(value, str):
        return value
    is_own = name in _WORDS or (name == "unit" and value.startswith(_OWN_UNIT))
    return value if is_own and _WORD.fullmatch(value) else LEFT_OUT


def finding(found: Finding) -> Json:
    """Without its key, whose subject may be a name."""
    return {
        "check": found.check,
        "name": found.name,
        "state": found.state,
        "code": found.code,
        "params": figures(found.params),
    }


def settings(found: Settings) -> Json:
    """Every setting: figures and switches as they are, a few words, of the rest whether it is set."""
    return _section(found)


def _section(section: BaseModel) -> Json:
    return {name: _setting(name, getattr(section, name)) for name in sorted(type(section).model_fields)}


def _setting(name: str, value: Any) -> Any:
    if isinstance(value, BaseModel):
        return _section(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str) and name in _SETTINGS and _WORD.fullmatch(value):
        return value
    return len(value) if isinstance(value, tuple) else LEFT_OUT if isinstance(value, Path) or value else ""


def plain(text: str | None) -> str:
    """A word that the hardware says of itself, e.g. the name of its processor; nothing if it is anything else."""
    found = " ".join((text or "").replace("(R)", "").replace("(TM)", "").split())
    return found if _WORD.fullmatch(found) else ""


def known(of: Mapping[str, Any], *names: str) -> Json:
    """Those fields alone."""
    return {name: of[name] for name in names if name in of}
