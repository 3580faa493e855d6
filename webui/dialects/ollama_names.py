"""Ollama's model names: a tag that means nothing on this box, and the names under which models are listed."""

from typing import Final

from webui.dialects import base_run

TAG: Final = ":latest"


def plain(name: str) -> str:
    """A model's own id, or `kb:<name>`: without the tag; case counts for bases only."""
    name = name.removesuffix(TAG)
    return name if base_run.is_base(name) else name.lower()


def tagged(model: str) -> str:
    """A model's id as Ollama lists it: its clients look for the tag."""
    return model + TAG
