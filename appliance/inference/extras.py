"""Engines that are extras of the installation: whether they are there, and how many answers they write at once."""

from appliance.errors import EngineMissingError, GenaiMissingError
from appliance.inference import genai, legacy


def places(engine: str) -> int | None:
    """Answers at once; None where that is for the settings to say."""
    return {legacy.ENGINE: legacy.PLACES, genai.ENGINE: genai.PLACES}.get(engine)


def missing(engine: str, name: str) -> EngineMissingError | None:
    """The error for model `name` if its engine is an extra that is not installed."""
    if engine == legacy.ENGINE and not legacy.version():
        return EngineMissingError(engine, name=name)
    if engine == genai.ENGINE and not genai.version():
        return GenaiMissingError(engine, name=name)
    return None
