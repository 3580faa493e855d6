"""Which models there are and how they are, for whoever asks: those of the catalogue and those of other machines."""

import copy
from collections.abc import Callable, Mapping
from typing import Any, Self

from appliance.config import Settings
from appliance.errors import ElsewhereError, InferenceUnreachableError, ModelNotFoundError, WrongModelKindError
from appliance.gateway.aliases import Aliases
from appliance.gateway.info import ModelInfo, of_own, of_remote
from appliance.gateway.prefixes import Prefixes
from appliance.gateway.remote import Remote, RemoteModel
from appliance.inference.catalog import Catalog
from appliance.inference.client import InferenceClient
from appliance.inference.default_models import DefaultModels
from appliance.inference.headers import Headers
from appliance.inference.load_settings import LoadSettingsStore
from appliance.inference.manifest import Manifest, ModelKind

Allows = Callable[[str], bool]


class KnownModels:
    """Safe to share between threads."""

    def __init__(self, settings: Settings, remote: Remote | None = None) -> None:
        """`remote`: the models of other machines, if they may be used by this process."""
        self._settings = settings.inference
        self._catalog = Catalog(settings.models)
        self._client = InferenceClient(settings.inference_socket)
        self._bind("", lambda _model: True)
        self._prefixes = Prefixes(self._client)
        self.remote = remote
        self.headers = Headers(self._catalog)
        self.load_settings = LoadSettingsStore(settings.model_settings, self._catalog)
        self.defaults = DefaultModels(settings)
        self.aliases = Aliases(settings.model_aliases, self._catalog, self._is_remote)

    def acting_for(self, who: str, allows: Allows, client: str = "") -> Self:
        """The same models as `who` may use them: waits in that one's turn, and knows no model that `allows` refuses.

        `allows` is asked with a model's id, never with an alias. `client`: which of that one's clients asks, a key's
        id or empty for their browsers; these take turns as well.
        """
        bound = copy.copy(self)
        bound._bind(who, allows, client)  # noqa: SLF001 - a copy of this very object
        return bound

    def in_turn_of(self, who: str, client: str = "") -> Self:
        """The same, waiting in another's turn."""
        return self.acting_for(who, self._allows, client)

    def _bind(self, who: str, allows: Allows, client: str = "") -> None:
        self._who, self._allows, self._by = who, allows, client

    def models(self) -> list[ModelInfo]:
        """Every readable model; all idle while the inference process can't be asked."""
        try:
            states = self._client.status()
        except InferenceUnreachableError:
            states = {}
        own = [
            self._info(manifest, states.get(model, {}))
            for model, manifest in self._catalog.all().items()
            if self._allows(model)
        ]
        far = self.remote.all() if self.remote else []
        return own + [self._info_elsewhere(model) for model in far if self._allows(model.id)]

    def model(self, name: str = "") -> ModelInfo:
        """One model as the catalogue has it, without asking the inference process; the chat default for no name.

        Raises:
            ModelNotFoundError: no such model.
        """
        wanted = name or self._chat_default()
        far = self._elsewhere(wanted)
        return self._info_elsewhere(far) if far else self._info(self._find(wanted), {})

    def template(self, name: str) -> str:
        """The chat template that a model is loaded with: the operator's, else its own; empty where neither is known.

        Who asks first for a model's own waits for a moment; its header is read as well where nobody has kept it.

        Raises:
            ModelNotFoundError: no such model.
        """
        if self._elsewhere(name):
            return ""
        manifest = self._find(name)
        if not manifest.architecture:
            self.headers.find(manifest)
        return self.load_settings.get(manifest.id).template or self.headers.template(manifest)

    def _chat_default(self) -> str:
        """The box's chat model; for who may not use it, the first chat model that they may."""
        default = self.defaults.chat
        if self._allows(self.aliases.resolve(default)):
            return default
        own = (model for model, manifest in self._catalog.all().items() if manifest.kind == "chat")
        return next((model for model in own if self._allows(model)), default)

    def load(self, model: str) -> None:
        """Load and keep loaded; returns when it answers."""
        self._client.load(self._find(model).id)

    def unload(self, model: str) -> None:
        """Free its memory once its running answers have ended."""
        self._client.unload(self._find(model).id)

    def stay(self, model: str, seconds: float) -> None:
        """How long it stays loaded without a question, this time; see `InferenceClient.stay`.

        Raises:
            ModelNotFoundError, ElsewhereError: none of this box's.
            InferenceUnreachableError: nobody is there to tell.
        """
        self._client.stay(self._find(model).id, seconds)

    def _find(self, name: str) -> Manifest:
        """The model of that name, or the one that the alias of that name stands for.

        Raises:
            ModelNotFoundError: neither, or not for the one who asks.
            ElsewhereError: a model of another machine, which has nothing here but its name.
        """
        if far := self._elsewhere(name):
            raise ElsewhereError(name=far.id)
        manifest = self._catalog.get(self.aliases.resolve(name))
        if not self._allows(manifest.id):
            raise ModelNotFoundError(name=name[:100])
        return manifest

    def _is_remote(self, model: str) -> bool:
        return self.remote is not None and self.remote.find(model) is not None

    def _elsewhere(self, name: str, kind: ModelKind | None = None) -> RemoteModel | None:
        """The model of that name or alias if another machine has it, of that kind; None if none of them does."""
        far = self.remote.find(self.aliases.resolve(name)) if self.remote else None
        if far and not self._allows(far.id):
            raise ModelNotFoundError(name=name[:100])
        if far and kind not in (None, far.kind):
            raise WrongModelKindError(name=far.id)
        return far

    def _info_elsewhere(self, model: RemoteModel) -> ModelInfo:
        state = self.remote.state(model) if self.remote else "failed"
        return of_remote(model, state, self.aliases.of(model.id))

    def _info(self, manifest: Manifest, now: Mapping[str, Any]) -> ModelInfo:
        wish = self.load_settings.get(manifest.id)
        context = wish.context_for(manifest, self._settings)
        return of_own(
            manifest,
            now,
            context,
            self.aliases.of(manifest.id),
            thinking=wish.thinking_of(manifest),
            tools=wish.tools_of(manifest),
            architecture=self.headers.architecture(manifest),
        )

    def _demand(self, model: str, kind: ModelKind) -> Manifest:
        manifest = self._find(model)
        if manifest.kind != kind:
            raise WrongModelKindError(name=manifest.name)
        return manifest
