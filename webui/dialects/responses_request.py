"""A request for a response in OpenAI's newer words: checked, and turned into the few parameters of an engine."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from appliance.errors import BadInputError, HakoError
from webui import shapes
from webui.dialects import responses_items, thinking
from webui.dialects.responses_items import Item
from webui.dialects.thinking import Effort

_PASSED: Final = ("temperature", "top_p", "parallel_tool_calls", "tool_choice")
_LARGEST_INT: Final = 2**31 - 1
_OUR_NAMES: Final = {
    "messages": "input",
    "response_format": "text.format",
    "grammar": "text.format",
    "logprobs": "include",
}
"""How this API calls what an engine calls otherwise."""

_LIKELY: Final = "message.output_text.logprobs"
"""In `include`: how likely each token was; others than that are ignored."""

MetadataKey = Annotated[str, Field(max_length=64)]
MetadataValue = Annotated[str, Field(max_length=512)]


class FunctionTool(shapes.Tolerant):
    """A function of the client's own; tools that OpenAI itself would run don't exist here."""

    type: Literal["function"]
    name: Annotated[str, Field(min_length=1, max_length=128)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None

    def as_engine(self) -> dict[str, Any]:
        """As a chat's tool, where the function is one level below."""
        function: dict[str, Any] = {"name": self.name, "description": self.description or ""}
        return {"type": "function", "function": function | {"parameters": self.parameters or {"type": "object"}}}


class TextFormat(shapes.Tolerant):
    """The form of the text; a schema lies flat beside its name."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None

    def as_engine(self) -> dict[str, Any]:
        """As a chat's `response_format`.

        Raises:
            BadInputError: a schema is announced and not there.
        """
        if self.type != "json_schema":
            return {"type": self.type}
        if self.schema_ is None:
            raise BadInputError("no schema", field="text.format.schema")
        named = {"name": self.name or "answer", "schema": self.schema_, "strict": True}
        return {"type": "json_schema", "json_schema": named}


class TextConfig(shapes.Tolerant):
    """What the text should be like."""

    format: TextFormat | None = None


class Reasoning(shapes.Tolerant):
    """How much is thought before the answer; thoughts are told as they are, so no `summary` is made."""

    effort: Effort | None = None


class ResponsesBody(shapes.Tolerant):
    """What is honoured, and what is looked at only to refuse it; every other field is ignored."""

    model: shapes.ModelId
    input: Annotated[str, Field(min_length=1)] | Annotated[list[dict[str, Any]], Field(min_length=1, max_length=2000)]
    instructions: str | None = None
    max_output_tokens: Annotated[int, Field(ge=1, le=_LARGEST_INT)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    stream: bool | None = None
    tools: Annotated[list[FunctionTool], Field(max_length=128)] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    text: TextConfig | None = None
    reasoning: Reasoning | None = None
    previous_response_id: Annotated[str, Field(max_length=200)] | None = None
    store: bool | None = None
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=16)] | None = None
    include: list[str] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    background: bool | None = None
    conversation: str | dict[str, Any] | None = None
    prompt: dict[str, Any] | None = None

    def check(self) -> None:
        """Raises BadInputError for what the box doesn't do and leaving out would change the answer's meaning."""
        for name in ("background", "conversation", "prompt"):
            if getattr(self, name):
                raise BadInputError(name, field=name)

    def items(self) -> list[Item]:
        """The items of `input`, each with an id.

        Raises:
            BadInputError: an item that no model of this box can take.
        """
        return responses_items.read(self.input)

    def as_chat(self, items: Iterable[Item]) -> list[dict[str, Any]]:
        """The instructions, then the whole conversation, in the words of a chat engine.

        Raises:
            BadInputError: nothing was said.
        """
        said = responses_items.messages(items)
        if not said:
            raise BadInputError("no message", field="input")
        return [{"role": "system", "content": self.instructions}, *said] if self.instructions else said

    def as_engine(self, items: Iterable[Item]) -> dict[str, Any]:
        """The body for the engine; `items` is the whole conversation.

        Raises:
            BadInputError: something that no model of this box can do.
        """
        body: dict[str, Any] = {"messages": self.as_chat(items), "stream_options": {"include_usage": True}}
        body |= {name: value for name in _PASSED if (value := getattr(self, name)) is not None}
        if self.max_output_tokens is not None:
            body["max_tokens"] = self.max_output_tokens
        if _LIKELY in (self.include or ()):
            body |= {"logprobs": True, "top_logprobs": self.top_logprobs or 0}
        if self.truncation is not None:
            body["truncation"] = self.truncation
        if self.tools:
            body["tools"] = [tool.as_engine() for tool in self.tools]
        if self.text and self.text.format and self.text.format.type != "text":
            body["response_format"] = self.text.format.as_engine()
        return body | thinking.told(self.reasoning.effort if self.reasoning else None)

    def echo(self) -> dict[str, Any]:
        """What the answer repeats of the request; settings that nobody made are null."""
        text = (self.text.format if self.text else None) or TextFormat(type="text")
        return {
            "background": False,
            "instructions": self.instructions,
            "max_output_tokens": self.max_output_tokens,
            "max_tool_calls": None,
            "metadata": self.metadata or {},
            "parallel_tool_calls": self.parallel_tool_calls is not False,
            "previous_response_id": self.previous_response_id,
            "reasoning": {"effort": self.reasoning.effort if self.reasoning else None, "summary": None},
            "service_tier": "default",
            "temperature": self.temperature,
            "text": {"format": text.model_dump(by_alias=True, exclude_none=True)},
            "tool_choice": self.tool_choice or "auto",
            "tools": [tool.model_dump() for tool in self.tools or ()],
            "top_logprobs": self.top_logprobs or 0,
            "top_p": self.top_p,
            "truncation": self.truncation or "disabled",
        }


def in_our_words(error: HakoError) -> HakoError:
    """The same error, naming the field as this API calls it."""
    field = error.params.get("field")
    if isinstance(field, str) and field in _OUR_NAMES:
        error.params["field"] = _OUR_NAMES[field]
    elif isinstance(field, str):
        error.params["field"] = field.replace(".function.", ".")  # tools are flat here
    return error


def conversation(before: Sequence[tuple[Sequence[Item], Sequence[Item]]], items: Sequence[Item]) -> list[Item]:
    """Inputs and outputs of the responses before, oldest first, and then what is said now."""
    return [item for given, written in before for item in (*given, *written)] + list(items)
