"""What an API key is good for: models, dialects, bases, writing, rate, an end; at most what its owner may."""

import json
from dataclasses import dataclass
from typing import Any, Final, Literal

Dialect = Literal["openai", "anthropic", "ollama", "lmstudio", "rerank", "hako"]
"""A way in that existing programs speak; `hako` is the box's own JSON API."""
ModelRights = Literal["none", "aliases", "remove"]
"""What an operator's key may do to models: nothing; give them other names and take those away; also remove them."""


@dataclass(frozen=True)
class Scope:
    """The limits of a key; an empty set, like None, sets none. Whoever comes without a key has the whole scope."""

    models: frozenset[str] = frozenset()
    """Ids, never aliases."""
    dialects: frozenset[Dialect] = frozenset()
    base_ids: frozenset[str] = frozenset()
    may_write: bool = True
    """Whether bases may be changed."""
    requests_per_minute: int | None = None
    model_rights: ModelRights = "none"
    """Of no use to a key whose owner is no operator."""
    only_metrics: bool = False
    """Good for `/metrics` and nothing else; of no use to a key whose owner is no operator."""
    expires_at: float | None = None
    """Seconds since the epoch."""

    def has_model(self, model_id: str) -> bool:
        """Whether the model may be used; ids that are gone still count, so a scope never widens by itself."""
        return not self.models or model_id in self.models

    def has_base(self, base_id: str) -> bool:
        """Whether the base may be read, if its owner may."""
        return not self.base_ids or base_id in self.base_ids

    def has_dialect(self, dialects: frozenset[Dialect]) -> bool:
        """Whether one of the dialects that a path belongs to may be spoken."""
        return not self.dialects or bool(self.dialects & dialects)

    @property
    def has_conversations(self) -> bool:
        """Whether the owner's chats may be read: they hold the words of any model and any base."""
        return not self.models and not self.base_ids

    def stored(self) -> str:
        """As JSON for the record; `expires_at` has a column of its own, for it is asked with every look."""
        return json.dumps(
            {
                "models": sorted(self.models),
                "dialects": sorted(self.dialects),
                "base_ids": sorted(self.base_ids),
                "may_write": self.may_write,
                "model_rights": self.model_rights,
                "requests_per_minute": self.requests_per_minute,
                "only_metrics": self.only_metrics,
            }
        )

    @classmethod
    def from_stored(cls, text: str, expires_at: float | None) -> "Scope":
        """From the record; `{}` is that of a key from before there were scopes."""
        known: dict[str, Any] = json.loads(text)
        return cls(
            models=frozenset(known.get("models", ())),
            dialects=frozenset(known.get("dialects", ())),
            base_ids=frozenset(known.get("base_ids", ())),
            may_write=bool(known.get("may_write", True)),
            model_rights=known.get("model_rights", "none"),
            requests_per_minute=known.get("requests_per_minute"),
            only_metrics=bool(known.get("only_metrics", False)),
            expires_at=expires_at,
        )


WHOLE: Final = Scope()
