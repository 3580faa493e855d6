"""A request in Anthropic's words: checked, and turned into the messages and the few parameters of an engine."""

import json
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from appliance.errors import BadInputError, DocumentBlockError
from webui import shapes
from webui.dialects import pictures, thinking
from webui.dialects.openai_request import ChatMessage
from webui.dialects.pictures import Part

_PASSED: Final = ("temperature", "top_p", "top_k")
_LARGEST_INT: Final = 2**31 - 1
_THOUGHTS: Final = ("thinking", "redacted_thinking")
_BLOCKS: Final = {
    "user": ("text", "image", "document", "tool_result"),
    "assistant": ("text", "tool_use", *_THOUGHTS),
    "system": ("text",),
}

_FAILED: Final = "The tool failed and said:"
"""What a model is told before a result that is an error; no template has a place for that."""

Blocks = list[dict[str, Any]]


class InputMessage(shapes.Tolerant):
    """One message: a text or a list of blocks."""

    role: Literal["user", "assistant", "system"]
    content: str | Blocks

    def as_chat(self) -> list[ChatMessage]:
        """In OpenAI's words, where the results of tools are messages of their own, before what is beside them.

        Pictures in a result come first in what is beside it: tools have no voice for them there.

        Raises:
            BadInputError: a block that no model of this box can take.
        """
        if isinstance(self.content, str):
            return [ChatMessage(role=self.role, content=self.content)]
        for block in self.content:
            if block.get("type") not in _BLOCKS[self.role]:
                raise BadInputError("content block", field="messages")
        results = [block for block in self.content if block["type"] == "tool_result"]
        found = [_result(block) for block in results]
        parts = [_part(block) for result in results for block in _within(result) if block.get("type") == "image"]
        parts += [_part(block) for block in self.content if block["type"] in ("text", "image", "document")]
        calls = [_call(block) for block in self.content if block["type"] == "tool_use"]
        if parts or calls or not found:
            found.append(ChatMessage(role=self.role, content=pictures.content(parts), tool_calls=calls or None))
        return found


class Tool(shapes.Tolerant):
    """A tool of the client's own; those that Anthropic itself would run don't exist here."""

    type: Literal["custom"] | None = None
    name: Annotated[str, Field(min_length=1, max_length=128)]
    description: str | None = None
    input_schema: dict[str, Any]

    def as_engine(self) -> dict[str, Any]:
        """As OpenAI describes a function."""
        function = {"name": self.name, "description": self.description or "", "parameters": self.input_schema}
        return {"type": "function", "function": function}


class ToolChoice(shapes.Tolerant):
    """Whether tools may be called, or must."""

    type: Literal["auto", "none", "any", "tool"]
    name: str | None = None
    """Of the one that must, with `tool`."""
    disable_parallel_tool_use: bool | None = None

    def as_engine(self) -> str | dict[str, Any]:
        """As OpenAI says it."""
        if self.type == "tool":
            return {"type": "function", "function": {"name": self.name}}
        return "required" if self.type == "any" else self.type


class OutputConfig(shapes.Tolerant):
    """The form of the answer."""

    format: dict[str, Any] | None = None


class Thinking(shapes.Tolerant):
    """Whether there may be thoughts before the answer; `adaptive` leaves it to the model, as saying nothing does."""

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: Annotated[int, Field(ge=1, le=_LARGEST_INT)] | None = None

    def as_engine(self) -> dict[str, Any]:
        """The part of an engine's body."""
        wish = None if self.type == "adaptive" else self.type == "enabled"
        return thinking.told(wish, budget=self.budget_tokens)


class PromptBody(shapes.Tolerant):
    """What a model reads: enough to count its tokens. Fields that are not here are ignored; the manual lists them."""

    model: shapes.ModelId
    messages: Annotated[list[InputMessage], Field(min_length=1, max_length=2000)]
    system: str | Blocks | None = None
    tools: Annotated[list[Tool], Field(max_length=128)] | None = None
    tool_choice: ToolChoice | None = None
    output_config: OutputConfig | None = None
    thinking: Thinking | None = None
    mcp_servers: Annotated[list[Any], Field(max_length=0)] | None = None

    def as_chat(self) -> list[ChatMessage]:
        """The conversation in OpenAI's words, the system text first.

        Raises:
            BadInputError: a block that no model of this box can take.
        """
        system = self.system if isinstance(self.system, str) else _text(self.system or (), "system")
        head = [ChatMessage(role="system", content=system)] if system else []
        return head + [part for message in self.messages for part in message.as_chat()]

    def as_engine(self) -> dict[str, Any]:
        """The body for the engine.

        Raises:
            BadInputError: something that no model of this box can do.
        """
        body: dict[str, Any] = {"messages": [message.as_engine() for message in self.as_chat()]}
        if self.tools:
            body["tools"] = [tool.as_engine() for tool in self.tools]
        if self.tool_choice:
            body["tool_choice"] = self.tool_choice.as_engine()
            body["parallel_tool_calls"] = not self.tool_choice.disable_parallel_tool_use
        if self.output_config and self.output_config.format is not None:
            body["response_format"] = _response_format(self.output_config.format)
        return body | self.thinking.as_engine() if self.thinking else body


class MessagesBody(PromptBody):
    """A whole request."""

    max_tokens: Annotated[int, Field(ge=1, le=_LARGEST_INT)]
    stream: bool | None = None
    stop_sequences: (
        Annotated[list[Annotated[str, Field(min_length=1, max_length=1000)]], Field(max_length=64)] | None
    ) = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=1000)] | None = None

    def as_engine(self) -> dict[str, Any]:
        """The body for the engine. The stop sequences stay here: an engine doesn't tell which one it met."""
        body = super().as_engine() | {"max_tokens": self.max_tokens}
        body |= {name: value for name in _PASSED if (value := getattr(self, name)) is not None}
        return body | {"stream_options": {"include_usage": True}, "timings_per_token": True}


def _text(blocks: Sequence[dict[str, Any]], field: str) -> str:
    for block in blocks:
        if not isinstance(block, dict) or block.get("type") != "text" or not isinstance(block.get("text"), str):
            raise BadInputError("text block", field=field)
    return "\n".join(block["text"] for block in blocks)


def _part(block: dict[str, Any]) -> Part:
    """A text, a document's text, or a picture; a file that Anthropic would keep doesn't exist here."""
    if block.get("type") == "document":
        return pictures.text(_document(block))
    if block.get("type") != "image":
        return pictures.text(_text([block], "messages"))
    source = block.get("source")
    source = source if isinstance(source, dict) else {}
    match source.get("type"):
        case "base64":
            return pictures.encoded(source.get("data"), "messages")
        case "url":
            return pictures.picture(source.get("url"))
        case _:
            raise BadInputError("picture", field="messages")


def _document(block: dict[str, Any]) -> str:
    """A document's title, what is said about it, and its text.

    Raises:
        DocumentBlockError: a file, which no model of this box reads.
        BadInputError: a broken block.
    """
    source = block.get("source")
    source = source if isinstance(source, dict) else {}
    match source.get("type"):
        case "text":
            text = source.get("data")
        case "content":
            content = source.get("content")
            text = _text(content, "messages") if isinstance(content, list) else content
        case "base64" | "url" | "file":
            raise DocumentBlockError(field="messages")
        case _:
            text = None
    words = [block.get("title") or "", block.get("context") or "", text]
    if not all(isinstance(word, str) for word in words):
        raise BadInputError("document", field="messages")
    return "\n\n".join(word for word in words if word)


def _within(result: dict[str, Any]) -> Blocks:
    """The blocks of a tool's result, which may also be a text."""
    content = result.get("content") or ""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise BadInputError("tool_result", field="messages")
    return content


def _result(block: dict[str, Any]) -> ChatMessage:
    call = block.get("tool_use_id")
    if not isinstance(call, str):
        raise BadInputError("tool_result", field="messages")
    said = [_part(part)["text"] for part in _within(block) if part.get("type") != "image"]
    if block.get("is_error"):
        said.insert(0, _FAILED)
    return ChatMessage(role="tool", content="\n".join(said), tool_call_id=call)


def _call(block: dict[str, Any]) -> dict[str, Any]:
    name, arguments, call = block.get("name"), block.get("input"), block.get("id")
    if not isinstance(name, str) or not isinstance(call, str) or not isinstance(arguments, dict):
        raise BadInputError("tool_use", field="messages")
    function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
    return {"id": call, "type": "function", "function": function}


def _response_format(wish: dict[str, Any]) -> dict[str, Any]:
    if wish.get("type") != "json_schema" or not isinstance(wish.get("schema"), dict):
        raise BadInputError("output format", field="output_config")
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": wish["schema"], "strict": True}}
