"""JSON schemas that clients send along: an engine makes grammars of them, and some would keep it busy for ever."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from appliance.errors import BadInputError

LONGEST: Final = 64 * 1024
"""Characters of all schemas of a field together; a list of values ten times as long takes a minute before a word."""
_LARGEST: Final = 2**63 - 1
_LONGEST_RUN: Final = 2000
"""The least length that llama.cpp takes into a grammar."""
_TYPES: Final = ("string", "number", "integer", "boolean", "null", "array", "object")
_SOME: Final = ("anyOf", "oneOf", "allOf")
_LOST: Final = object()


def _is_type(value: Any) -> bool:
    kinds = value if isinstance(value, list) else [value]
    return bool(kinds) and all(kind in _TYPES for kind in kinds)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or (type(value) is int and -_LARGEST <= value <= _LARGEST)


_PLAIN: Final[Mapping[str, Callable[[Any], bool]]] = {
    "type": _is_type,
    "enum": lambda value: isinstance(value, list) and bool(value),
    "format": lambda value: isinstance(value, str),
    "additionalProperties": lambda value: isinstance(value, bool),
    "$ref": lambda value: isinstance(value, str) and value.startswith("#/"),
    **dict.fromkeys(("minLength", "minItems"), lambda value: _is_count(value) and value <= _LONGEST_RUN),
    **dict.fromkeys(("maxLength", "maxItems"), _is_count),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _is_number),
    **dict.fromkeys(("properties", "items", "prefixItems", *_SOME), lambda _value: False),
}
"""Keywords that llama.cpp looks at and what it takes there, where it is no schema of its own."""


def harmless(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a chat with schemas that an engine can follow in reasonable time.

    A regular expression such as `(a?){300}` never comes to an end there, and nobody else gets an answer meanwhile.
    So an answer can't be made to follow one; in a tool's description it is left out. A text that should be longer
    than it may be keeps an engine busy for half a minute.

    Raises:
        BadInputError: a schema that is too long, or a `pattern` or crossed lengths that an answer should follow.
    """
    checked = dict(body)
    if body.get("response_format") is not None:
        _demand_short(body["response_format"], "response_format")
        if _without_patterns(body["response_format"]) != body["response_format"]:
            raise BadInputError("pattern in a schema", field="response_format")
        if _has_crossed_lengths(body["response_format"]):
            raise BadInputError("crossed lengths in a schema", field="response_format")
    if body.get("tools") is not None:
        _demand_short(body["tools"], "tools")
        checked["tools"] = _without_patterns(body["tools"])
    return checked


def _demand_short(schema: Any, field: str) -> None:
    if len(json.dumps(schema, ensure_ascii=False)) > LONGEST:
        raise BadInputError("schema too long", field=field)


def _without_patterns(schema: Any) -> Any:
    """A copy without regular expressions; a property that is itself called "pattern" stays."""
    if isinstance(schema, dict):
        return {
            name: _without_patterns(value)
            for name, value in schema.items()
            if not (name == "pattern" and isinstance(value, str)) and name != "patternProperties"
        }
    if isinstance(schema, list):
        return [_without_patterns(value) for value in schema]
    return schema


def _has_crossed_lengths(schema: Any) -> bool:
    if isinstance(schema, list):
        return any(map(_has_crossed_lengths, schema))
    return isinstance(schema, dict) and (_are_crossed(schema) or any(map(_has_crossed_lengths, schema.values())))


def _are_crossed(schema: Mapping[str, Any]) -> bool:
    low, high = schema.get("minLength", 0), schema.get("maxLength", 0)
    return "maxLength" in schema and _is_count(low) and _is_count(high) and low > high


def readable(schema: Any) -> tuple[dict[str, Any], bool]:
    """A tool's parameters without what no engine can make a grammar of, and whether nothing was lost by that.

    What remains may still ask for more than a grammar can say, e.g. by `not`; an engine doesn't look at that.
    """
    reading = _Reading(schema)
    return reading.read(schema), reading.is_whole


class _Reading:
    """One schema being read; the root is where its references lead."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self.is_whole = True

    def read(self, schema: Any) -> dict[str, Any]:
        if not isinstance(schema, dict):
            self.is_whole = self.is_whole and schema is True  # which allows everything, as an empty one does
            return {}
        kept = {name: read for name, value in schema.items() if (read := self._value(name, value)) is not _LOST}
        if _are_crossed(kept):
            kept.pop("minLength")
            self.is_whole = False
        return kept

    def _value(self, name: str, value: Any) -> Any:
        """What becomes of a keyword."""
        if name in ("properties", "$defs", "definitions") and isinstance(value, dict):
            return {key: self.read(part) for key, part in value.items()}
        if name in ("items", "additionalProperties") and isinstance(value, dict):
            return self.read(value)
        if name in ("items", "prefixItems", *_SOME) and isinstance(value, list) and (value or name not in _SOME):
            return [self.read(part) for part in value]
        if name == "items" and value is True:
            return {}
        if name not in _PLAIN or (_PLAIN[name](value) and (name != "$ref" or self._leads_somewhere(value))):
            return value
        self.is_whole = False
        return _LOST

    def _leads_somewhere(self, reference: str) -> bool:
        found = self._root
        for step in reference.split("/")[1:]:
            if isinstance(found, list) and step.isdecimal() and int(step) < len(found):
                found = found[int(step)]
            elif isinstance(found, dict) and step in found:
                found = found[step]
            else:
                return False
        return isinstance(found, dict)
