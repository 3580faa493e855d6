"""A request of `/v1/completions`: checked, and turned into what an engine is asked, once for each choice."""

from typing import Annotated, Any, Final

from pydantic import Field, field_validator

from appliance.errors import BadInputError
from webui import shapes
from webui.dialects import base_run
from webui.dialects.openai_request import Biases, Penalty, Stop, StreamOptions, engine_biases, engine_stops, fold_seed

_PASSED: Final = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
_DEFAULT_TOKENS: Final = 16
_LARGEST_INT: Final = 2**31 - 1
_MOST_CHOICES: Final = 64
"""They are written one after the other."""
_TELL_TOKENS: Final = ("llama", "remote")
"""Engines that tell how likely each token was, and take a prompt as numbers of tokens."""

Text = Annotated[str, Field(min_length=1)]
Tokens = Annotated[list[Annotated[int, Field(ge=0, le=_LARGEST_INT, strict=True)]], Field(min_length=1)]
Prompts = Annotated[list[Text], Field(min_length=1, max_length=_MOST_CHOICES)]
Numbers = Annotated[list[Tokens], Field(min_length=1, max_length=_MOST_CHOICES)]
Prompt = str | list[int]


class CompletionBody(shapes.Tolerant):
    """What is honoured, and what is looked at only to refuse it; every other field is ignored."""

    model: shapes.ModelId
    prompt: Text | Prompts | Tokens | Numbers
    max_tokens: Annotated[int, Field(ge=0, le=_LARGEST_INT)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    stop: Stop | None = None
    seed: int | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: Biases | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=_MOST_CHOICES)] | None = None
    best_of: Annotated[int, Field(ge=0, le=_MOST_CHOICES)] | None = None
    echo: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    suffix: str | None = None

    @field_validator("seed")
    @classmethod
    def _fold_seed(cls, seed: int | None) -> int | None:
        return fold_seed(seed)

    @property
    def prompts(self) -> list[Prompt]:
        """Each text that goes on, or its tokens."""
        given: Any = self.prompt
        return [given] if isinstance(given, str) or isinstance(given[0], int) else list(given)

    @property
    def echoed(self) -> list[str]:
        """What stands before each choice's own text."""
        many = self.n or 1
        return [prompt if self.echo and isinstance(prompt, str) else "" for prompt in self.prompts for _ in range(many)]

    def check(self, engine: str) -> None:
        """Refuse what this model's engine, or the box, can't do.

        Raises:
            BadInputError: names the field.
        """
        many = self.n or 1
        is_numbers = not all(isinstance(prompt, str) for prompt in self.prompts)
        refused = {
            "suffix": bool(self.suffix),
            "best_of": self.best_of not in (None, 0, many) and not (self.best_of == 1 and many == 1),
            "n": many * len(self.prompts) > _MOST_CHOICES,
            "logprobs": self.logprobs is not None and engine not in _TELL_TOKENS,
            "prompt": is_numbers and engine not in _TELL_TOKENS,
            # How likely a prompt's own tokens were no engine tells, and only the model knows what its numbers say.
            "echo": bool(self.echo) and (self.logprobs is not None or is_numbers),
        }
        for name, is_asked in refused.items():
            if is_asked:
                raise BadInputError(name, field=name)

    def as_engine(self) -> list[dict[str, Any]]:
        """The bodies for the engine, one for each choice."""
        body: dict[str, Any] = {
            "max_tokens": _DEFAULT_TOKENS if self.max_tokens is None else max(self.max_tokens, 1),
            "stream_options": {"include_usage": True},
        }
        body |= {name: value for name in _PASSED if (value := getattr(self, name)) is not None}
        if self.stop:
            body["stop"] = engine_stops(self.stop)
        if self.logit_bias:
            body["logit_bias"] = engine_biases(self.logit_bias)
        if self.logprobs is not None:
            body["logprobs"] = self.logprobs
            body["n_probs"] = max(self.logprobs, 1)  # llama.cpp's own name; it tells nothing for none
        return [
            # With the same seed a prompt's choices would all be the same text.
            {"prompt": prompt, **body, **({} if self.seed is None else {"seed": fold_seed(self.seed + at)})}
            for prompt in self.prompts
            for at in range(self.n or 1)
        ]

    def demand_model(self) -> None:
        """Raises BadInputError: a base, which answers questions only."""
        if base_run.is_base(self.model):
            raise BadInputError("a base answers questions only", field="model")
