"""For runtimes that know only tokens: a conversation as plain text, and an answer's text out of its bytes."""

import codecs
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any, NoReturn, TypeAlias

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from appliance import clock
from appliance.inference.engine import EngineLoadError

_PLAIN_STOPS = ("\nuser:", "\nsystem:")


class Mark(Enum):
    """Tokens that aren't text. NUL is in nobody's message: it is taken out before."""

    BEGIN = "\0b\0"
    END = "\0e\0"


Part: TypeAlias = str | Mark

_MARKS = re.compile("(\0[be]\0)")


class Conversation:
    """Puts messages into the form that `template` (Jinja) says; lines of role and text where it is empty."""

    def __init__(self, template: str) -> None:
        self._template = _compiled(template) if template else None
        self.stops: Sequence[str] = () if template else _PLAIN_STOPS

    def parts(self, messages: Any) -> list[Part]:
        """Texts and marks in their order.

        Raises:
            ValueError, TypeError: no conversation, or none that the template takes.
        """
        if not isinstance(messages, list) or not messages or not all(isinstance(item, dict) for item in messages):
            raise ValueError("messages must be a list with something in it")
        said = [{"role": str(item.get("role") or "user"), "content": _content(item)} for item in messages]
        rendered = self._rendered(said)
        return [Mark(part) if _MARKS.fullmatch(part) else part for part in _MARKS.split(rendered) if part]

    def _rendered(self, messages: list[dict[str, str]]) -> str:
        if self._template is None:
            return "".join(f"{item['role']}: {item['content']}\n" for item in messages) + "assistant:"
        try:
            return self._template.render(
                messages=messages, add_generation_prompt=True, bos_token=Mark.BEGIN.value, eos_token=Mark.END.value
            )
        except (jinja2.TemplateError, ArithmeticError, AttributeError, RecursionError) as error:
            raise ValueError(f"messages: the model's template refuses them: {type(error).__name__}") from error


class Writing:
    """Bytes in, text out: whole letters only, and nothing that may turn out to be the beginning of a stop word."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self.is_ended = False
        """A stop word has come."""

    def feed(self, data: bytes) -> str:
        """What can be shown now."""
        return self._shown(self._decoder.decode(data), final=False)

    def rest(self) -> str:
        """What was held back, at the end of the answer."""
        return "" if self.is_ended else self._shown(self._decoder.decode(b"", final=True), final=True)

    def _shown(self, new: str, *, final: bool) -> str:
        text = self._held + new
        ends = [place for place in (text.find(stop) for stop in self._stops) if place >= 0]
        if ends:
            self.is_ended, self._held = True, ""
            return text[: min(ends)]
        kept = 0 if final else max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - kept :]
        return text[: len(text) - kept]


def _overlap(text: str, stop: str) -> int:
    """Letters at the end of `text` that `stop` begins with."""
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:size])), 0)


def _content(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, list):
        content = "\n".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    if not isinstance(content, str):
        raise TypeError("messages must have texts")
    return content.replace("\0", "")


def _compiled(template: str) -> jinja2.Template:
    """The file's template in a sandbox: it is a program by whoever made the file."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"], autoescape=False
    )
    environment.globals |= {"raise_exception": _raise, "strftime_now": _now}
    try:
        return environment.from_string(template)
    except (jinja2.TemplateError, RecursionError) as error:
        raise EngineLoadError(f"its chat template can't be read: {type(error).__name__}") from error


def _raise(message: object) -> NoReturn:
    raise jinja2.TemplateError(str(message))


def _now(form: str) -> str:
    return datetime.fromtimestamp(clock.now(), UTC).strftime(str(form))
