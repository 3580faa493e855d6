"""A chat as the box itself asks it of a model: for people's chats, answers from documents, and measurements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class ChatRequest:
    """What the box itself asks of a chat model."""

    model: str
    messages: Sequence[Mapping[str, Any]]
    max_tokens: int
    temperature: float = 0.7
    grammar: str | None = None
    """GBNF that the answer must follow, without a thought before it: the grammar would hold for that one, too."""
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_follow_up(self) -> bool:
        """Whether there is more than one question in it."""
        return len([message for message in self.messages if message["role"] == "user"]) > 1

    def body(self) -> dict[str, Any]:
        """As the engine's chat endpoint takes it."""
        body: dict[str, Any] = {
            "messages": list(self.messages),
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            **self.extra,
        }
        if self.grammar:
            body |= {"grammar": self.grammar, "chat_template_kwargs": {"enable_thinking": False}}
        return body
