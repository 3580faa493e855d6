"""Schemas that reach an engine: short ones, without regular expressions."""

from typing import Any

import pytest

from appliance.errors import BadInputError
from appliance.gateway import schemas

HANGS = {"type": "string", "pattern": "^(a?){1900}$"}


def wish(schema: dict[str, Any]) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}


@pytest.mark.parametrize(
    "schema",
    [
        HANGS,
        {"type": "object", "properties": {"a": {"anyOf": [{"type": "null"}, HANGS]}}},
        {"patternProperties": {"^(a?){1900}$": {}}},
        {"enum": ["x" * 100] * 1000},
    ],
)
def test_an_answer_can_not_be_made_to_follow_what_never_ends(schema: dict[str, Any]) -> None:
    with pytest.raises(BadInputError) as refused:
        schemas.harmless(wish(schema))
    assert refused.value.params == {"field": "response_format"}


def test_other_schemas_pass_as_they_are() -> None:
    body = wish({"type": "object", "properties": {"pattern": {"type": "string", "enum": ["a", "b"]}}})
    body |= {"messages": [{"role": "user", "content": "pattern"}], "temperature": 0.5}
    assert schemas.harmless(body) == body


def test_a_tools_regular_expressions_are_left_out() -> None:
    parameters = {"type": "object", "properties": {"zip": HANGS, "pattern": {"type": "string"}}}
    body = {"tools": [{"type": "function", "function": {"name": "find", "parameters": parameters}}]}
    given = schemas.harmless(body)["tools"][0]["function"]["parameters"]["properties"]
    assert given == {"zip": {"type": "string"}, "pattern": {"type": "string"}}
    assert parameters["properties"]["zip"] == HANGS  # the client's own was not changed


def test_tools_of_any_length_are_no_way_to_fill_a_model_either() -> None:
    with pytest.raises(BadInputError) as refused:
        schemas.harmless({"tools": [{"function": {"description": "x" * schemas.LONGEST}}]})
    assert refused.value.params == {"field": "tools"}
