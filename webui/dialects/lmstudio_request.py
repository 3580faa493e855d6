"""A chat in the words of LM Studio's `/api/v1`: checked, and turned into what an engine or a base is asked."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from appliance.errors import BadInputError
from webui import shapes
from webui.dialects import pictures, thinking
from webui.dialects.pictures import Part

_PASSED: Final = ("temperature", "top_p", "top_k", "min_p", "repeat_penalty")
_LARGEST_INT: Final = 2**31 - 1


class Item(shapes.Tolerant):
    """A part of the question; all of them are one message."""

    type: Literal["message", "text", "image"]
    content: shapes.Text | None = None
    data_url: str | None = None

    def part(self) -> Part:
        """As the gateway takes it."""
        if self.type == "image":
            return pictures.encoded(self.data_url, "input")
        return pictures.text(self.content or "")


class ChatBody(shapes.Tolerant):
    """What is honoured, and what is looked at only to refuse it; every other field is ignored."""

    model: shapes.ModelId
    input: shapes.Text | Annotated[list[Item], Field(min_length=1, max_length=2000)]
    system_prompt: shapes.Text | None = None
    stream: bool | None = None
    max_output_tokens: Annotated[int, Field(ge=-1, le=_LARGEST_INT)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=1000)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repeat_penalty: Annotated[float, Field(ge=0.1, le=4)] | None = None
    previous_response_id: Annotated[str, Field(max_length=200)] | None = None
    store: bool | None = None
    reasoning: Literal["off", "on", "low", "medium", "high"] | None = None
    integrations: list[Any] | None = None

    def question(self) -> dict[str, Any]:
        """The message.

        Raises:
            BadInputError: nothing in it, or a server's tools.
        """
        if self.integrations:
            raise BadInputError("integrations", field="integrations")
        parts = [pictures.text(self.input)] if isinstance(self.input, str) else [item.part() for item in self.input]
        content = pictures.content(parts)
        if isinstance(content, str) and not content.strip():
            raise BadInputError("no words", field="input")
        return {"role": "user", "content": content}

    def as_engine(self, messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The body for the engine, which tells how far it has read where that is of use; `messages`: the whole chat."""
        body: dict[str, Any] = {"messages": list(messages), "stream_options": {"include_usage": True}}
        body |= {name: value for name in _PASSED if (value := getattr(self, name)) is not None}
        if self.max_output_tokens is not None and self.max_output_tokens >= 0:
            body["max_tokens"] = max(self.max_output_tokens, 1)
        if self.stream:
            body["return_progress"] = True
        return body | thinking.told(self.reasoning)
