"""The models that the box itself relies on: as an operator chose them on a page, else as the settings name them."""

import json
import threading
from typing import Final, Literal

from appliance import durable, logs
from appliance.config import Settings

log = logs.get(__name__)

Role = Literal["chat", "reranker"]
"""What can be chosen. The embedding model can't: stored vectors are of the one that made them."""

_MOST_BYTES: Final = 1 << 16


class DefaultModels:
    """One small JSON file, read anew on each look, so that every process follows a choice at once. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.model_defaults
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
            stored = {**self._read(), role: model}
            durable.replace(self._path, json.dumps(stored, indent=1, sort_keys=True).encode() + b"\n")

    def _read(self) -> dict[str, str]:
        """What was chosen, by role; nothing while the file can't be read."""
        try:
            with self._path.open("rb") as file:
                stored = json.loads(file.read(_MOST_BYTES))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            log.warning("default_models_unreadable", kind=type(error).__name__)
            return {}
        if not isinstance(stored, dict):
            return {}
        return {role: model for role, model in stored.items() if isinstance(model, str)}
