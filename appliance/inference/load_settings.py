"""How an operator wants a model to be loaded and kept: context, answers at once, threads, template, idle time."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance import logs
from appliance.choices import Choices
from appliance.config import Inference
from appliance.errors import BadInputError
from appliance.inference import genai, legacy
from appliance.inference.catalog import Catalog
from appliance.inference.engine import CacheType
from appliance.inference.manifest import Manifest
from appliance.inference.speculation import Wish
from appliance.inference.thinking import takes_tools, thinks

log = logs.get(__name__)

Policy = Literal["stop", "middle", "rolling"]
Overflow = Literal["auto", Policy]

_OF_CHATS: Final = (
    "context", "speculation", "cache_type", "template", "overflow", "max_tokens", "adapter", "adapter_scale",
)  # fmt: skip
"""Settings that mean nothing for a model that doesn't chat."""
_HANDS_TOOLS: Final = ("llama", "scripted")
"""Engines that hand a request's tools to the template."""
_VAIN: Final[dict[str, tuple[str, ...]]] = {
    legacy.ENGINE: ("parallel", "speculation", "cache_type", "template", "adapter", "adapter_scale"),
    genai.ENGINE: ("parallel", "speculation", "cache_type", "adapter", "adapter_scale"),
}
"""Settings that an engine can't follow."""


class LoadSettings(BaseModel):
    """What is None or empty follows the box's settings or the model itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    context: Annotated[int, Field(ge=256, le=1 << 20)] | None = None
    """Tokens of one answer."""
    parallel: Annotated[int, Field(ge=1, le=64)] | None = None
    """Answers at once."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    pinned: bool = False
    """Loaded with the box, and never unloaded to make room."""
    idle_minutes: Annotated[int, Field(ge=0, le=100_000)] | None = None
    """Unloaded after so long without a question; 0 for never."""
    speculation: Wish = "auto"
    """Guess the next words from what is there already: pays for answers that quote. `auto`: see `speculation`."""
    cache_type: CacheType = "f16"
    """How exactly it keeps what it has read. `q8_0` and `q4_0` take about a half and a quarter of the memory."""
    template: Annotated[str, Field(max_length=65_536)] = ""
    """Jinja chat template instead of the model's own."""
    overflow: Overflow = "auto"
    """What happens to a chat longer than the context: refused, its middle left out, or its beginning.

    `auto`: refused where a program asks, which may not lose what it sent; its beginning is left out of the box's own
    chats, where people see it and go on.
    """
    max_tokens: Annotated[int, Field(ge=0, le=1 << 20)] | None = None
    """Tokens of one answer at most, whatever is asked for; 0 for as many as there is room."""
    adapter: Annotated[str, Field(max_length=200)] = ""
    """One of the model's adapters, loaded with it."""
    adapter_scale: Annotated[float, Field(ge=-4, le=4)] = 1.0
    """How strongly it changes the answers; 0 for not at all."""

    def context_of(self, trained: int, box: Inference) -> int:
        """Tokens that one answer of a chat model may have, which holds `trained` at most."""
        return min(trained, self.context or box.context_tokens)

    def context_for(self, manifest: Manifest, box: Inference) -> int:
        """Tokens that one answer or one text may have; llama.cpp keeps room for as many, the others need none."""
        bounded = manifest.kind == "chat" or manifest.engine == "llama"
        return self.context_of(manifest.context, box) if bounded else manifest.context

    def parallel_of(self, box: Inference) -> int:
        """Answers at once of a chat model."""
        return self.parallel or box.parallel

    def thinking_of(self, manifest: Manifest) -> bool:
        """Whether a model may think before it answers, by the template that it is loaded with."""
        return thinks(self.template) if self.template else manifest.thinking

    def tools_of(self, manifest: Manifest) -> bool:
        """Whether a model takes tools, by the template that it is loaded with and by what its engine hands over."""
        if manifest.kind != "chat" or manifest.engine not in _HANDS_TOOLS:
            return False
        if self.template:
            return takes_tools(self.template)
        return manifest.size_class != "tiny" if manifest.tools is None else manifest.tools

    def overflow_of(self, usual: Policy) -> Policy:
        """What becomes of too long a chat; `usual` is who asks's own way, for `auto`."""
        return usual if self.overflow == "auto" else self.overflow

    def demand_fit(self, manifest: Manifest) -> None:
        """Refuse what this model can't follow, so that no setting is ignored in silence.

        Raises:
            BadInputError: `field` says which.
        """
        wanted = self.model_dump(exclude_defaults=True)
        if self.speculation == "off":  # what doesn't guess anyway follows that
            wanted.pop("speculation")
        vain: tuple[str, ...] = () if manifest.kind == "chat" else _OF_CHATS
        vain += _VAIN.get(manifest.engine, ())
        for name in vain:
            if name in wanted:
                raise BadInputError(f"{name}: nothing that this model follows", field=name)
        if self.adapter and self.adapter not in manifest.adapters:
            raise BadInputError("no adapter of this model", field="adapter")
        if self.context is not None and self.context > manifest.context:
            raise BadInputError("more than the model was trained for", field="context")


class LoadSettingsStore:
    """One JSON file beside the models; read anew on each call, so that every process sees a change at once."""

    def __init__(self, path: Path, catalog: Catalog) -> None:
        self._chosen = Choices(path, "model_settings_unreadable")
        self._catalog = catalog
        self._lock = threading.Lock()

    def get(self, model: str) -> LoadSettings:
        """The settings of one model; the defaults where there are none, or none that can be read."""
        return self._settings(model, self._chosen.read().get(model, {}))

    def getter(self) -> Callable[[str], LoadSettings]:
        """`get` of many models with one look at the file."""
        stored = self._chosen.read()
        return lambda model: self._settings(model, stored.get(model, {}))

    def put(self, model: str, settings: LoadSettings) -> None:
        """Keep them from now on; they hold when the model is loaded the next time.

        Raises:
            ModelNotFoundError, ModelDamagedError: no such model.
            BadInputError: a setting that this model can't follow; `field` says which.
        """
        settings.demand_fit(self._catalog.get(model))
        with self._lock:
            stored = self._chosen.read()
            stored.pop(model, None)
            if wanted := settings.model_dump(exclude_defaults=True):
                stored[model] = wanted
            self._chosen.write(stored)

    def forget(self, model: str) -> None:
        """For a model that is gone."""
        with self._lock:
            stored = self._chosen.read()
            if stored.pop(model, None) is not None:
                self._chosen.write(stored)

    def _settings(self, model: str, stored: object) -> LoadSettings:
        try:
            return LoadSettings.model_validate(stored)
        except ValidationError as error:
            log.warning("model_settings_unreadable", model=model, problems=error.error_count())
            return LoadSettings()
