"""A model as everything above the gateway sees it, wherever it runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from appliance.errors import HakoError, by_code
from appliance.gateway.remote import RemoteModel
from appliance.inference.manifest import Manifest, ModelKind


@dataclass(frozen=True)
class ModelInfo:
    """A model of the catalogue and how it is now; `memory_bytes` and `provider` are None unless it is loaded."""

    id: str
    name: str
    kind: ModelKind
    engine: str
    state: str
    languages: tuple[str, ...]
    context: int
    """Tokens that one answer or one text may have on this box."""
    size_bytes: int
    memory_bytes: int | None
    licence: str
    source: str
    sha256: str
    quantization: str
    size_class: str
    provider: str | None
    aliases: tuple[str, ...] = ()
    """Other names that programs may call it by."""
    parameters: int = 0
    """0 where it isn't known."""
    dimensions: int | None = None
    """Length of a vector; embedding models only."""
    vision: bool = False
    """Whether it sees pictures; not known of another machine's."""
    thinking: bool = False
    """Whether it may think before it answers; not known of another machine's."""
    tools: bool = False
    """Whether it takes tools; another machine's is believed to."""
    architecture: str = ""
    """As its files call it, e.g. `qwen2`; the engine's name where that isn't known."""
    loading: Mapping[str, Any] | None = None
    """How far its loading has come, as `inference.loading` tells it; None while it isn't loaded now."""
    error: HakoError | None = None
    """Why it doesn't run, where it failed or is set aside."""


def of_own(
    manifest: Manifest,
    now: Mapping[str, Any],
    context: int,
    aliases: tuple[str, ...],
    *,
    thinking: bool,
    tools: bool,
    architecture: str,
) -> ModelInfo:
    """A model of the catalogue; `now` is what the inference process tells of it, empty where it isn't asked."""
    failed = now.get("error")
    return ModelInfo(
        id=manifest.id,
        name=manifest.name,
        kind=manifest.kind,
        engine=manifest.engine,
        state=str(now.get("state", "idle")),
        languages=manifest.languages,
        context=context,
        size_bytes=manifest.size,
        memory_bytes=now.get("memory_bytes") or None,
        licence=manifest.licence,
        source=manifest.source,
        sha256=manifest.files[manifest.entry].sha256,
        quantization=manifest.quantization,
        size_class=manifest.size_class,
        provider=now.get("provider"),
        aliases=aliases,
        parameters=manifest.parameters,
        dimensions=manifest.dimensions,
        vision=manifest.vision,
        thinking=thinking,
        tools=tools,
        architecture=architecture or manifest.engine,
        loading=now.get("loading"),
        error=by_code(failed["code"], **failed["params"]) if failed else None,
    )


def of_remote(model: RemoteModel, state: str, aliases: tuple[str, ...]) -> ModelInfo:
    """A model of another machine: of its files nothing is known here."""
    return ModelInfo(
        id=model.id,
        name=model.name,
        kind=model.kind,
        engine="remote",
        state=state,
        languages=("und",),
        context=model.context,
        size_bytes=0,
        memory_bytes=None,
        licence="",
        source=model.destination.name,
        sha256="",
        quantization="",
        size_class="medium",
        provider=None,
        aliases=aliases,
        tools=model.kind == "chat",
        architecture="remote",
    )
