"""Calls of functions that must come: an engine's own way is no promise, so the answer's form is constrained instead.

The model writes `{"name": …, "arguments": {…}}`, since a schema leaves it nothing else, and the stream tells it as the
`tool_calls` that clients know. llama.cpp's server takes `tool_choice: required` and may still answer in words.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from appliance import clock
from appliance.errors import BadInputError, ModelFailedError
from appliance.gateway import schemas
from appliance.gateway.stream import DONE, RawStream
from appliance.gateway.tool_choice import ToolChoice, without_tools
from appliance.gateway.waited import Waited
from appliance.inference.client import Place
from appliance.inference.transport import ChildConnection, Stopped

_ENGINES: Final = ("llama", "scripted")
"""They write what a schema says."""
_OF_WORDS: Final = ("stop", "logprobs", "top_logprobs", "response_format")
"""Have no meaning for a call; a stop word would cut it in the middle."""
_INTRODUCTION: Final = (
    "Answer with a call of one of these functions and with nothing else, as one line of JSON like "
    '{"name": "the_function", "arguments": {"an_argument": "its value"}}\n\n'
)
_HEAD: Final = re.compile(r'\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*')
_TAIL: Final = re.compile(r"[\s}]*\Z")

Tools = Sequence[Mapping[str, Any]]


def for_engine(choice: ToolChoice, body: Mapping[str, Any], engine: str) -> dict[str, Any]:
    """The body of a chat as an engine of the box gets it; where a call is demanded, `told` must follow.

    Raises:
        BadInputError: a call is demanded of an engine that follows no schema, or with parameters that none can follow.
    """
    if choice.mode == "none" or not choice.places:
        return without_tools(body)  # what isn't there can't be called
    tools = [body["tools"][place] for place in choice.places]
    asked = {**body, "tools": [_readable(tool) for tool in tools], "tool_choice": "auto"}
    if choice.mode == "auto":
        return asked
    if engine not in _ENGINES:
        raise BadInputError("this engine can't be made to call", field="tool_choice")
    schema = {"name": "call", "schema": _of_call(tools, choice.places)}
    asked = {name: value for name, value in asked.items() if name not in _OF_WORDS}
    return {**asked, "tool_choice": "none", "response_format": {"type": "json_schema", "json_schema": schema}}


def told(body: Mapping[str, Any], engine: str, connection: ChildConnection, stopped: Stopped | None) -> dict[str, Any]:
    """The same, so that the model learns of the tools: from its template, or in words where that doesn't tell them."""
    tools = body["tools"]
    if engine == "llama":
        asked = {"messages": [{"role": "user", "content": "-"}], "tools": tools, "tool_choice": "none"}
        if tools[0]["function"]["name"] in connection.json("/apply-template", asked, stopped)["prompt"]:
            return dict(body)
    return {**without_tools(body), "messages": _introduced(body["messages"], tools)}


def blame(error: BaseException, body: Mapping[str, Any]) -> None:
    """Let an engine's refusal of a form that the request doesn't have name the tools, of which the form was made."""
    is_of_tools = body.get("tools") and not body.get("response_format") and not body.get("grammar")
    if isinstance(error, BadInputError) and is_of_tools and error.params.get("field") in ("grammar", "response_format"):
        error.params["field"] = "tools"


def _readable(tool: Mapping[str, Any]) -> dict[str, Any]:
    function = dict(tool["function"])
    if "parameters" in function:
        function["parameters"] = schemas.readable(function["parameters"])[0]
    return {**tool, "function": function}


def _of_call(tools: Tools, places: Sequence[int]) -> dict[str, Any]:
    """The schema of one call of any of these tools; each tool's own is a definition, where its references lead."""
    calls, definitions = [], {}
    for place, tool in zip(places, tools, strict=True):
        definitions[str(place)] = _of_arguments(tool["function"].get("parameters") or {}, place)
        properties = {"name": {"const": tool["function"]["name"]}, "arguments": {"$ref": f"#/$defs/{place}"}}
        calls.append(
            {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
        )
    return {**(calls[0] if len(calls) == 1 else {"anyOf": calls}), "$defs": definitions}


def _of_arguments(parameters: Mapping[str, Any], place: int) -> dict[str, Any]:
    read, is_whole = schemas.readable(parameters)
    kind = read.get("type", "object")
    if not is_whole or (kind != "object" and not (isinstance(kind, list) and "object" in kind)):
        raise BadInputError("parameters that can't be followed", field=f"tools.{place}.function.parameters")
    moved: dict[str, Any] = _moved({**read, "type": "object"}, f"#/$defs/{place}")
    return moved


def _moved(schema: Any, to: str) -> Any:
    """A copy whose references lead to where it lies now."""
    if isinstance(schema, list):
        return [_moved(value, to) for value in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: to + value[1:] if name == "$ref" and isinstance(value, str) else _moved(value, to)
        for name, value in schema.items()
    }


def _introduced(messages: Sequence[Mapping[str, Any]], tools: Tools) -> list[dict[str, Any]]:
    """The messages, with the tools described where models look first."""
    told = _INTRODUCTION + "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    first, *others = [dict(message) for message in messages] or [{}]
    if first.get("role") == "system":
        return [{**first, "content": f"{first.get('content') or ''}\n\n{told}".strip()}, *others]
    return [{"role": "system", "content": told}, *map(dict, messages)]


class Call:
    """The text of a call read piece by piece; it ends with the brace of the whole, which no argument has."""

    def __init__(self) -> None:
        self._name: str | None = None
        self._text = ""
        """What isn't told yet."""
        self._arguments: list[str] = []

    @property
    def is_begun(self) -> bool:
        """Whether its name was told."""
        return self._name is not None

    def feed(self, piece: str) -> dict[str, Any] | None:
        """The part of `tool_calls` that the piece tells; None if it tells nothing yet."""
        self._text += piece
        if self._name is None:
            head = _HEAD.match(self._text)
            if head is None:
                return None
            self._name, self._text = json.loads(head.group(1)), self._text[head.end() :]
            function = {"name": self._name, "arguments": self._told()}
            return {"index": 0, "id": clock.new_id("call"), "type": "function", "function": function}
        told = self._told()
        return {"index": 0, "function": {"arguments": told}} if told else None

    def end(self) -> tuple[str, bool]:
        """What is left of the arguments, and whether they and the call are complete."""
        rest = self._text.rstrip()
        whole = rest.removesuffix("}").rstrip()
        try:
            arguments = json.loads("".join(self._arguments) + whole)
        except ValueError:
            return rest, False
        is_complete = self._name is not None and rest.endswith("}") and isinstance(arguments, dict)
        return (whole, True) if is_complete else (rest, False)

    def _told(self) -> str:
        tail = _TAIL.search(self._text)
        place = tail.start() if tail else len(self._text)
        told, self._text = self._text[:place], self._text[place:]
        told = told if self._arguments else told.lstrip()
        if told:
            self._arguments.append(told)
        return told


def stream(
    choice: ToolChoice, lease: Place, connection: ChildConnection, stopped: Stopped | None, waited: Waited, model: str
) -> RawStream:
    """The engine's own stream, or the one that tells a call."""
    if choice.mode == "required":
        return CallStream(lease, connection, stopped, waited, model)
    return RawStream(lease, connection, stopped, waited)


class CallStream(RawStream):
    """An engine's event stream in which what it writes is told as a call."""

    def __init__(
        self, lease: Place, connection: ChildConnection, stopped: Stopped | None, waited: Waited, model: str
    ) -> None:
        super().__init__(lease, connection, stopped, waited)
        self._model = model
        self._call = Call()

    def __iter__(self) -> Iterator[bytes]:
        """Raises CancelledError when stopped or cut, ModelFailedError when the engine died or wrote no call."""
        buffer = b""
        for chunk in super().__iter__():
            buffer += chunk
            *lines, buffer = buffer.split(b"\n")
            for line in lines:
                if line.startswith(b"data:"):
                    yield b"data: " + self._translated(line[5:].strip()) + b"\n\n"
                elif line.startswith(b":"):
                    yield line + b"\n\n"

    def _translated(self, data: bytes) -> bytes:
        if data == DONE:
            return DONE
        try:
            event = json.loads(data)
            for choice in event.get("choices", ()):
                self._translate(choice)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise ModelFailedError(f"engine call: {type(error).__name__}", name=self._model) from error
        return json.dumps(event, ensure_ascii=False).encode()

    def _translate(self, choice: dict[str, Any]) -> None:
        """A choice of a chunk, changed in place.

        Raises:
            ValueError: it ends, not for its length, and is no call.
        """
        delta = choice["delta"]
        part = self._call.feed(delta.pop("content", None) or "")
        if finish := choice.get("finish_reason"):
            rest, is_complete = self._call.end()
            if is_complete:
                choice["finish_reason"] = "tool_calls"
            elif finish != "length":
                raise ValueError("no call")
            if rest and self._call.is_begun:
                part = part or {"index": 0, "function": {"arguments": ""}}
                part["function"]["arguments"] += rest
        if "role" in delta:
            delta["content"] = None
        if part:
            delta["tool_calls"] = [part]
