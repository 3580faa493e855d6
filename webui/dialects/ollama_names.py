"""Ollama's model names: a tag and capitals that mean nothing on this box, and names as they are listed."""

from typing import Final

from webui.dialects import base_run
from webui.routing import Call

TAG: Final = ":latest"


def found(call: Call, name: str, *, by_all: bool = False) -> str:
    """A model's id or alias as the box writes it, for a name that differs in its tag or in capitals only.

    A name of nothing here is given back without the tag, as is `kb:<name>`, where case counts. Names that the caller
    may not use are not looked at, unless `by_all`.
    """
    bare = name[: -len(TAG)] if name.lower().endswith(TAG) else name
    if base_run.is_base(bare):
        return bare
    known = _known(call, by_all=by_all)
    aliases = call.gateway.aliases
    if bare in known or name in known or aliases.is_model(bare.lower()):
        return next((exact for exact in (name, bare) if exact in known), bare.lower())
    # The first of several that differ in capitals only, so that it is always the same one.
    folded = {other.lower(): other for other in sorted(known, reverse=True)}
    return next((folded[asked] for asked in (name.lower(), bare.lower()) if asked in folded), bare)


def tagged(model: str) -> str:
    """A model's name as Ollama lists it: its clients look for a tag."""
    return model if ":" in model.rpartition("/")[2] else model + TAG


def _known(call: Call, *, by_all: bool) -> set[str]:
    """Aliases, and ids of other machines' models; ids of the box's own have no capitals."""
    gateway = call.gateway
    targets = gateway.aliases.all()
    targets |= {model.id: model.id for model in (gateway.remote.all() if gateway.remote else ())}
    return {name for name, target in targets.items() if by_all or call.who.may_use_model(target)}
