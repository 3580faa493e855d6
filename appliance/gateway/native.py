"""Ways of choosing a token that only llama.cpp knows: for models of other engines they are refused."""

from collections.abc import Mapping
from typing import Any, Final

from appliance.errors import BadInputError

FIELDS: Final = (
    "typical_p", "xtc_probability", "xtc_threshold", "dry_multiplier", "dry_base", "dry_allowed_length", "mirostat",
    "mirostat_tau", "mirostat_eta",
)  # fmt: skip
_ENGINES: Final = ("llama", "scripted")


def demand(body: Mapping[str, Any], engine: str) -> None:
    """Raises BadInputError: the body asks for one of them, and that engine can't do it."""
    for name in FIELDS:
        if name in body and engine not in _ENGINES:
            raise BadInputError("not on this engine", field=name)
