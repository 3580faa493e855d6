"""Whether a model guesses words that its context says already: as the operator says, or where it was measured to pay.

`auto` guesses where an answer that quotes was written at least `LEAST_QUOTING` times as fast with guesses, and one that
quotes nothing at least `LEAST_OTHER` times: most answers of a box quote the documents that were found for them, so that
a little may be lost in the others. A model that wasn't measured doesn't guess. Only the model's file has to be the one
that was measured: a gain belongs to what the model writes, and would else come and go with every other setting.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from appliance import logs
from appliance.inference.engine import Speculation
from appliance.inference.manifest import Manifest

log = logs.get(__name__)

Wish = Literal["auto", "ngram", "off"]
WAYS: Final[tuple[Speculation, ...]] = ("off", "ngram")
ENGINE: Final = "llama"
"""The only one that guesses."""
LEAST_QUOTING: Final = 1.1
"""A gain below that is not seen, and no larger than what the measurement itself is off by."""
LEAST_OTHER: Final = 0.9


@dataclass(frozen=True)
class Gains:
    """How many times as fast answers are written with guesses as without; 0 where it wasn't measured."""

    quoting: float = 0.0
    """Answers that quote what the question holds."""
    other: float = 0.0
    """Answers that quote nothing."""

    @property
    def pays(self) -> bool:
        """Whether `auto` guesses."""
        return self.quoting >= LEAST_QUOTING and self.other >= LEAST_OTHER


class _Measured(BaseModel):
    """What counts here of `gateway.figures.Figures`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    sha256: str
    quoting_gain: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    other_gain: Annotated[float, Field(allow_inf_nan=False)] = 0.0


_MEASURED: Final = TypeAdapter(dict[str, Any])


def resolved(wish: Wish, gains: Gains) -> Speculation:
    """What a wish comes to."""
    if wish == "auto":
        return "ngram" if gains.pays else "off"
    return wish


def measured(figures: Path, manifest: Manifest) -> Gains:
    """The gains of a model's present file, from the file that measurements are kept in; none where it can't be read."""
    try:
        stored = _MEASURED.validate_json(figures.read_bytes()).get(manifest.id)
        known = None if stored is None else _Measured.model_validate(stored)
    except FileNotFoundError:
        return Gains()
    except (OSError, ValidationError) as error:
        log.warning("figures_unreadable", kind=type(error).__name__)
        return Gains()
    if known is None or known.sha256 != manifest.files[manifest.entry].sha256:
        return Gains()
    return Gains(known.quoting_gain, known.other_gain)
