"""Programs with API keys that use a soaked box: one speaks OpenAI's dialect, one Anthropic's."""

import sys
from typing import Any, Final

from tests.soak.people import WORDS
from tests.soak.visitor import Visitor

MODEL: Final = "smollm2-135m-instruct"
_EMBEDDER: Final = "multilingual-e5-small"
_TOKENS: Final = 96
_ALL: Final = sys.maxsize


class OpenAIProgram:
    """Streams, whole answers, embeddings and the list of models."""

    def __init__(self, me: Visitor) -> None:
        self._me = me
        self._round = 0

    def work(self) -> None:
        """One stream, every fifth is hung up on, and one call of another kind."""
        me, self._round = self._me, self._round + 1
        asked = self._asked(stream=True)
        with me.events("POST", "/v1/chat/completions", asked) as events:
            me.listen("openai", events, _has_content, 3 if self._round % 5 == 0 else _ALL)
        match self._round % 3:
            case 0:
                me.post("openai whole", "/v1/chat/completions", self._asked())
            case 1:
                me.post("openai embeddings", "/v1/embeddings", {"model": _EMBEDDER, "input": list(WORDS["ja"])})
            case _:
                kept = me.post(
                    "openai responses", "/v1/responses", {"model": MODEL, "input": "Hello", "max_output_tokens": 16}
                )
                me.send("openai responses", "DELETE", f"/v1/responses/{kept['id']}")
        me.get("openai models", "/v1/models")

    def _asked(self, **more: Any) -> dict[str, Any]:
        said = {"role": "user", "content": self._me.luck.choice(WORDS["en"])}
        return {"model": MODEL, "messages": [said], "max_tokens": _TOKENS, **more}


class AnthropicProgram:
    """Streams, whole answers and counts of tokens."""

    def __init__(self, me: Visitor) -> None:
        self._me = me
        self._round = 0

    def work(self) -> None:
        """One stream, every sixth is hung up on, one count, and now and then a whole answer."""
        me, self._round = self._me, self._round + 1
        said = {"model": MODEL, "messages": [{"role": "user", "content": me.luck.choice(WORDS["en"])}]}
        with me.events("POST", "/v1/messages", {**said, "max_tokens": _TOKENS, "stream": True}) as events:
            me.listen(
                "anthropic", events, lambda kind, _: kind == "content_block_delta", 3 if self._round % 6 == 0 else _ALL
            )
        me.post("anthropic count", "/v1/messages/count_tokens", said)
        if self._round % 3 == 0:
            me.post("anthropic whole", "/v1/messages", {**said, "max_tokens": _TOKENS})


def _has_content(_kind: str, data: Any) -> bool:
    return any(choice.get("delta", {}).get("content") for choice in data.get("choices", []))
