"""A chat request in OpenAI's words: checked, and turned into the few parameters that an engine may be given."""

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, field_validator

from appliance.errors import BadInputError
from appliance.gateway import native
from webui import shapes
from webui.dialects import pictures, thinking
from webui.dialects.pictures import Part
from webui.dialects.thinking import Effort, TemplateKwargs

_ROLES: Final = {"developer": "system", "function": "tool"}
_PASSED: Final = (
    "temperature", "top_p", "top_k", "min_p", "seed", "presence_penalty", "frequency_penalty", "repeat_penalty",
    "logprobs", "top_logprobs", "tool_choice", "parallel_tool_calls", *native.FIELDS,
)  # fmt: skip
_LARGEST_INT: Final = 2**31 - 1
_TOKEN_DIGITS: Final = 10

_MOST_STOPS: Final = 16

Penalty = Annotated[float, Field(ge=-2, le=2)]
Biases = dict[str, Annotated[float, Field(ge=-100, le=100)]]


def _few(stop: str | list[str]) -> str | list[str]:
    """Raises ValueError: more than are looked for; leaving some out would change where the answer ends."""
    if isinstance(stop, list) and len(stop) > _MOST_STOPS:
        raise ValueError("too many")
    return stop


Stop = Annotated[str | list[str], AfterValidator(_few)]


def fold_seed(seed: int | None) -> int | None:
    """OpenAI takes any 64-bit number, the engine one of 31 bits."""
    return None if seed is None else seed % _LARGEST_INT


def engine_stops(stop: str | list[str]) -> list[str]:
    """As a list, which all engines take."""
    return [stop] if isinstance(stop, str) else stop


def engine_biases(wish: Biases) -> list[list[float]]:
    """OpenAI's keys are token ids as text; words that some clients send are no tokens of this model."""
    return [[int(token), bias] for token, bias in wish.items() if _is_token(token)]


class StreamOptions(shapes.Tolerant):
    """Whether the last chunk but one carries the token counts."""

    include_usage: bool | None = None


class ChatMessage(shapes.Tolerant):
    """One message; `content` may be a text, a list of texts and pictures, or null beside tool calls."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None

    def as_engine(self) -> dict[str, Any]:
        """As the engine's template takes it.

        Raises:
            BadInputError: a part that is no text, and no picture that a person sends.
        """
        message: dict[str, Any] = {"role": _ROLES.get(self.role, self.role), "content": self._content()}
        if self.tool_calls:
            message["tool_calls"] = self.tool_calls
        if self.tool_call_id:
            message["tool_call_id"] = self.tool_call_id
        return message

    def _content(self) -> str | list[Part]:
        if not isinstance(self.content, list):
            return self.content or ""
        found = pictures.content([pictures.read(part, "messages") for part in self.content])
        if isinstance(found, list) and self.role != "user":
            raise BadInputError("a picture that nobody sent", field="messages")
        return found


class Function(shapes.Tolerant):
    """What a client can do for the model."""

    name: Annotated[str, Field(min_length=1, max_length=128)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(shapes.Tolerant):
    """A function of the client's own; tools of other kinds don't exist here."""

    type: Literal["function"] = "function"
    function: Function

    def as_engine(self) -> dict[str, Any]:
        """As the engine's template takes it."""
        return {"type": self.type, "function": self.function.model_dump(exclude_none=True)}


class ChatBody(shapes.Tolerant):
    """What is honoured; every other field is ignored, and the manual lists which."""

    model: shapes.ModelId
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=2000)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=-1, le=_LARGEST_INT)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=-1, le=_LARGEST_INT)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=1000)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: int | None = None
    stop: Stop | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    repeat_penalty: Annotated[float, Field(ge=0.1, le=4)] | None = None
    typical_p: Annotated[float, Field(ge=0, le=1)] | None = None
    xtc_probability: Annotated[float, Field(ge=0, le=1)] | None = None
    xtc_threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    dry_multiplier: Annotated[float, Field(ge=0, le=10)] | None = None
    dry_base: Annotated[float, Field(ge=1, le=10)] | None = None
    dry_allowed_length: Annotated[int, Field(ge=1, le=1000)] | None = None
    mirostat: Annotated[int, Field(ge=0, le=2)] | None = None
    mirostat_tau: Annotated[float, Field(ge=0, le=20)] | None = None
    mirostat_eta: Annotated[float, Field(ge=0, le=1)] | None = None
    logit_bias: Biases | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    response_format: dict[str, Any] | None = None
    tools: Annotated[list[FunctionTool], Field(max_length=128)] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: Effort | None = None
    chat_template_kwargs: TemplateKwargs | None = None
    grammar: str | None = None

    @field_validator("grammar")
    @classmethod
    def _no_grammar(cls, grammar: str | None) -> str | None:
        """One such as `(a?){300}` never comes to an end in an engine, and nobody else gets an answer meanwhile."""
        if grammar:
            raise ValueError("not possible on this box")
        return grammar

    ttl: float | str | None = None
    """LM Studio's: seconds that the model stays loaded without a question."""

    @field_validator("seed")
    @classmethod
    def _fold_seed(cls, seed: int | None) -> int | None:
        return fold_seed(seed)

    @property
    def limit(self) -> int | None:
        """Tokens to write at most; None for as many as there is room."""
        wish = self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens
        return None if wish is None or wish < 0 else max(wish, 1)

    def as_engine(self) -> dict[str, Any]:
        """The body for the engine.

        Raises:
            BadInputError: something that no model of this box can do.
        """
        body: dict[str, Any] = {"messages": [message.as_engine() for message in self.messages]}
        body |= {name: value for name in _PASSED if (value := getattr(self, name)) is not None}
        if self.limit is not None:
            body["max_tokens"] = self.limit
        if self.stop:
            body["stop"] = engine_stops(self.stop)
        if self.logit_bias:
            body["logit_bias"] = engine_biases(self.logit_bias)
        if self.response_format is not None:
            body["response_format"] = _response_format(self.response_format)
        if self.tools:
            body["tools"] = [tool.as_engine() for tool in self.tools]
        return body | thinking.told(self.reasoning_effort, self.chat_template_kwargs)


def _is_token(key: str) -> bool:
    return key.isascii() and key.isdecimal() and len(key) < _TOKEN_DIGITS


def _response_format(wish: dict[str, Any]) -> dict[str, Any]:
    kind = wish.get("type")
    if kind in ("text", "json_object"):
        return wish
    schema = wish.get("json_schema")
    if kind == "json_schema" and isinstance(schema, dict) and isinstance(schema.get("schema"), dict):
        return wish
    raise BadInputError("response format", field="response_format")
