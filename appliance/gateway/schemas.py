"""JSON schemas that clients send along: an engine makes grammars of them, and some would keep it busy for ever."""

import json
from collections.abc import Mapping
from typing import Any, Final

from appliance.errors import BadInputError

LONGEST: Final = 64 * 1024
"""Characters of all schemas of a field together; a list of values ten times as long takes a minute before a word."""


def harmless(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a chat with schemas that an engine can follow in reasonable time.

    A regular expression such as `(a?){300}` never comes to an end there, and nobody else gets an answer meanwhile.
    So an answer can't be made to follow one; in a tool's description it is left out.

    Raises:
        BadInputError: a schema that is too long, or a `pattern` that an answer should follow.
    """
    checked = dict(body)
    if body.get("response_format") is not None:
        _demand_short(body["response_format"], "response_format")
        if _without_patterns(body["response_format"]) != body["response_format"]:
            raise BadInputError("pattern in a schema", field="response_format")
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
