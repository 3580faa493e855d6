"""How a model is to be run: what its child is told, and what the supervisor keeps to."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.config import Settings
from appliance.inference import extras, flavour, speculation
from appliance.inference.engine import EngineSpec
from appliance.inference.load_settings import LoadSettings
from appliance.inference.manifest import Manifest
from appliance.machine import resources

_BATCHES: Final = 4
"""Of texts at once, by models that write nothing; more would only queue inside the child."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The operator may change them at any time."""

    spec: EngineSpec
    """What the child is started with, but for socket and key, which each child gets anew."""
    places: int
    """Leases at once."""
    memory_limit: int
    """Bytes; a child that has grown beyond is killed."""
    pinned: bool = False
    """Never unloaded to make room."""
    idle_seconds: float = 0.0
    """Unloaded after so long without anybody; 0 for never. Not for models that somebody wanted kept."""
    own_idle_seconds: float | None = None
    """The same where the operator said it of this very model: then it holds, kept or not."""

    def idle_limit(self, stay: float | None, *, kept: bool) -> float | None:
        """Seconds without a question after which it is unloaded; None for never.

        `stay`: what was said of this load, below 0 for ever. `kept`: whether somebody wanted it kept.
        """
        if stay is not None and not self.pinned:
            return None if stay < 0 else stay
        if self.own_idle_seconds is not None:
            return self.own_idle_seconds or None
        return None if kept or self.pinned else self.idle_seconds or None


def terms_of(manifest: Manifest, folder: Path, settings: Settings, wish: LoadSettings) -> Terms:
    """What the box's settings and the model's own, `wish`, come to for the model in `folder`."""
    inference = settings.inference
    guesses = wish.speculation
    if guesses == "auto":
        guesses = speculation.resolved(guesses, speculation.measured(settings.model_figures, manifest))
    memory_limit = manifest.size + (inference.child_memory_mb << 20)
    spec = EngineSpec(
        model=manifest.id,
        kind=manifest.kind,
        engine=manifest.engine,
        folder=str(folder.absolute()),
        entry=manifest.entry,
        socket="",
        api_key="",
        threads=wish.threads or inference.threads or max(1, resources.cores() - 1),
        parallel=extras.places(manifest.engine) or wish.parallel_of(inference),
        context=wish.context_for(manifest, inference),
        dimensions=manifest.dimensions or 0,
        provider=inference.provider,
        # Address space counts what is reserved and never touched: twice the resident limit. CUDA reserves as much as
        # all memory of machine and GPU together, so there only what is resident is watched.
        memory_bytes=0 if flavour.may_use_gpu(manifest.engine, inference.provider) else 2 * memory_limit,
        template=wish.template,
        speculation=guesses,
        cache_type=wish.cache_type,
        adapter=wish.adapter if wish.adapter in manifest.adapters else "",
        adapter_scale=wish.adapter_scale,
        pooling=manifest.pooling,
        projector=manifest.projector or "",
    )
    return Terms(
        spec=spec,
        places=spec.parallel if manifest.kind == "chat" else wish.parallel or _BATCHES,
        memory_limit=memory_limit,
        pinned=wish.pinned,
        idle_seconds=inference.idle_minutes * 60,
        own_idle_seconds=None if wish.idle_minutes is None else wish.idle_minutes * 60.0,
    )
