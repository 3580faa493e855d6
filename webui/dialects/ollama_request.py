"""Chat and generate requests in Ollama's words: checked, and turned into what an engine or a base is asked."""

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, field_validator

from appliance.errors import BadInputError
from webui import shapes
from webui.dialects import pictures, staying, thinking
from webui.dialects.base_run import Turn
from webui.dialects.openai_request import FunctionTool, Stop, engine_stops
from webui.dialects.pictures import Part
from webui.dialects.thinking import Level

_LARGEST_INT: Final = 2**31 - 1

Penalty = Annotated[float, Field(ge=-2, le=2)]


class Options(shapes.Tolerant):
    """What is honoured; what says how a model is loaded, e.g. `num_ctx`, is the operator's and ignored."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1, le=_LARGEST_INT)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: int | None = None
    num_predict: int | None = None
    stop: Stop | None = None
    repeat_penalty: Annotated[float, Field(ge=0, le=4)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None

    def as_engine(self) -> dict[str, Any]:
        """As the engine's chat endpoint takes them."""
        same = ("temperature", "top_p", "min_p", "presence_penalty", "frequency_penalty", "repeat_penalty")
        body = {name: value for name in same if (value := getattr(self, name)) is not None}
        if self.top_k is not None:
            body["top_k"] = min(max(self.top_k, 0), 1000)  # 0 switches it off
        if self.seed is not None and self.seed >= 0:  # -1 asks for a new one each time
            body["seed"] = self.seed % _LARGEST_INT
        if self.num_predict is not None and self.num_predict > 0:  # else as many as there is room
            body["max_tokens"] = min(self.num_predict, _LARGEST_INT)
        if self.stop:
            body["stop"] = engine_stops(self.stop)
        return body


class Asked(shapes.Tolerant, ABC):
    """What chat and generate have in common; every other field is ignored, and the manual lists which."""

    any_content_type: ClassVar[bool] = True

    model: shapes.ModelId
    stream: bool | None = None
    """Absent means yes."""
    format: str | dict[str, Any] | None = None
    options: Options | None = None
    keep_alive: float | str | None = None
    think: bool | Level | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None

    @field_validator("format")
    @classmethod
    def _known_format(cls, wish: str | dict[str, Any] | None) -> str | dict[str, Any] | None:
        if isinstance(wish, str) and wish not in ("", "json"):
            raise ValueError("neither json nor a schema")
        return wish

    @property
    def streams(self) -> bool:
        return self.stream is not False

    @property
    @abstractmethod
    def is_load(self) -> bool:
        """Whether nothing is asked, so that the model need only be loaded."""

    @property
    def is_raw(self) -> bool:
        """Whether a bare text goes on, without roles and without a template."""
        return False

    @property
    def lets_go(self) -> bool:
        """Whether the client wants the model unloaded afterwards. It is for who may manage models."""
        return staying.seconds(self.keep_alive) == 0

    def turns(self) -> list[Turn]:
        """The conversation as a base takes it."""
        return [Turn.of(message) for message in self.messages_for_engine()]

    @abstractmethod
    def messages_for_engine(self) -> list[dict[str, Any]]:
        """The conversation as the engine's template takes it."""

    def as_engine(self) -> dict[str, Any]:
        """The body for the engine."""
        body: dict[str, Any] = {"messages": self.messages_for_engine(), "stream_options": {"include_usage": True}}
        body |= (self.options or Options()).as_engine()
        if isinstance(self.format, dict):
            schema = {"name": "answer", "schema": self.format, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif self.format:
            body["response_format"] = {"type": "json_object"}
        if self.logprobs:
            body["logprobs"] = True
            body["top_logprobs"] = self.top_logprobs or 0
        return body | thinking.told(self.think)


class CalledFunction(shapes.Tolerant):
    """What a model called; the arguments are an object, not its text as with OpenAI."""

    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)


class ToolCall(shapes.Tolerant):
    """A call in an assistant's message."""

    id: str | None = None
    function: CalledFunction


class Message(shapes.Tolerant):
    """One message of a chat."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    images: list[str] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class ChatBody(Asked):
    """`/api/chat`."""

    messages: list[Message] = Field(default_factory=list, max_length=2000)
    tools: Annotated[list[FunctionTool], Field(max_length=128)] | None = None

    @field_validator("messages", mode="before")
    @classmethod
    def _none_is_empty(cls, messages: object) -> object:
        return [] if messages is None else messages

    @property
    def is_load(self) -> bool:
        return not self.messages

    def messages_for_engine(self) -> list[dict[str, Any]]:
        return _as_openai(self.messages)

    def as_engine(self) -> dict[str, Any]:
        body = super().as_engine()
        if self.tools:
            body["tools"] = [tool.as_engine() for tool in self.tools]
        return body


class GenerateBody(Asked):
    """`/api/generate`: one prompt, put into the model's own template by the box, or going on as it stands (`raw`)."""

    prompt: str | None = None
    system: str | None = None
    suffix: str | None = None
    template: str | None = None
    raw: bool | None = None
    context: list[int] | None = None
    images: list[str] | None = None

    @field_validator("suffix", "template", "context")
    @classmethod
    def _not_here(cls, wish: object) -> object:
        """The box can't do any of these; left empty they say nothing."""
        if wish:
            raise ValueError("not possible on this box")
        return wish

    @property
    def is_load(self) -> bool:
        return not self.prompt and not self.images

    @property
    def is_raw(self) -> bool:
        return bool(self.raw)

    def messages_for_engine(self) -> list[dict[str, Any]]:
        system = [{"role": "system", "content": self.system}] if self.system else []
        return [*system, {"role": "user", "content": _content(self.prompt, self.images, "images")}]

    def as_engine(self) -> dict[str, Any]:
        """With `raw`, for `Gateway.complete`.

        Raises:
            BadInputError: something beside a raw prompt that only a template has a place for.
        """
        if not self.raw:
            return super().as_engine()
        for field in ("system", "images", "format"):
            if getattr(self, field):
                raise BadInputError("beside a raw prompt", field=field)
        body = super().as_engine()
        del body["messages"]
        if self.logprobs:
            body["n_probs"] = max(body["top_logprobs"], 1)  # what llama.cpp calls it for bare prompts
        return body | {"prompt": self.prompt}


def _content(words: str | None, images: Sequence[str] | None, field: str) -> str | list[Part]:
    """The words, then the pictures."""
    return pictures.content([pictures.text(words or ""), *(pictures.encoded(image, field) for image in images or ())])


def _as_openai(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages with calls and results tied together by ids, which Ollama's clients may leave out."""
    found: list[dict[str, Any]] = []
    waiting: list[tuple[str, str]] = []
    for at, message in enumerate(messages):
        if message.images and message.role != "user":
            raise BadInputError("a picture that nobody sent", field=f"messages.{at}.images")
        content = _content(message.content, message.images, f"messages.{at}.images")
        entry: dict[str, Any] = {"role": message.role, "content": content}
        if message.tool_calls:
            entry["tool_calls"] = []
            for call in message.tool_calls:
                call_id = call.id or f"call_{len(found)}_{len(entry['tool_calls'])}"
                waiting.append((call_id, call.function.name))
                arguments = json.dumps(call.function.arguments, ensure_ascii=False)
                function = {"name": call.function.name, "arguments": arguments}
                entry["tool_calls"].append({"id": call_id, "type": "function", "function": function})
        if message.role == "tool":
            entry["tool_call_id"] = _answered(message, waiting)
        found.append(entry)
    return found


def _answered(message: Message, waiting: list[tuple[str, str]]) -> str:
    """The id of the call that a result belongs to: as told, by the tool's name, or the first without a result."""
    told = message.tool_call_id
    fitting = [call for call in waiting if call[0] == told] or [
        call for call in waiting if message.tool_name in (None, call[1])
    ]
    if fitting:
        waiting.remove(fitting[0])
    return told or (fitting[0][0] if fitting else "call")
