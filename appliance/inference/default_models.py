"""The models that the box itself relies on: as an operator chose them on a page, else as the settings name them."""

import threading
from typing import Final, Literal

from appliance.choices import Choices
from appliance.config import Settings

Role = Literal["chat", "reranker"]
"""What can be chosen. The embedding model can't: stored vectors are of the one that made them."""

_MOST_BYTES: Final = 1 << 16


class DefaultModels:
    """Every process follows a choice at once. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._chosen = Choices(settings.model_defaults, "default_models_unreadable", most_bytes=_MOST_BYTES)
        self._inference = settings.inference
        self._lock = threading.Lock()

    @property
    def chat(self) -> str:
        """The chat model for who names none, by name or alias."""
        return self._read().get("chat") or self._inference.chat_model

    @property
    def reranker(self) -> str:
        """The reranker of searches, by name or alias; empty for none, which an operator can choose as well."""
        return self._read().get("reranker", self._inference.reranker_model)

    def own(self) -> tuple[str, ...]:
        """All of them, by name or alias; the first to be loaded first."""
        return tuple(model for model in (self._inference.embedding_model, self.reranker, self.chat) if model)

    def choose(self, role: Role, model: str) -> None:
        """Comes before the settings from now on. `model`: the id of one of this box; empty for no reranker."""
        with self._lock:
            self._chosen.write({**self._read(), role: model})

    def _read(self) -> dict[str, str]:
        """What was chosen, by role; nothing while the file can't be read."""
        return {role: model for role, model in self._chosen.read().items() if isinstance(model, str)}
