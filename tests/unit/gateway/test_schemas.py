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
        {"type": "array", "items": [{"type": "string", "minLength": 5, "maxLength": 2}]},
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


READABLE: list[Any] = [
    {}, {"type": "object"}, {"type": ["string", "null"]}, {"foo": "bar"}, {"title": 5, "default": 5}, {"not": 5},
    {"properties": {"a": {"type": "string", "minLength": 2, "maxLength": 2}}, "required": ["a"]},
    {"type": "array", "items": {"type": "integer", "minimum": -1.5, "exclusiveMaximum": 7}, "maxItems": 100_000},
    {"type": "array", "items": [{"type": "string"}]}, {"type": "array", "prefixItems": []},
    {"anyOf": [{"const": None}, {"enum": ["a", 1, None]}]}, {"type": "string", "format": "date-time"},
    {"properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"type": "string"}}},
    {"properties": {"a": {"$ref": "#/properties/b/anyOf/0"}, "b": {"anyOf": [{"type": "null"}]}}},
    {"type": "object", "additionalProperties": {"type": "string"}}, {"type": "object", "additionalProperties": True},
    {"properties": {"enum": {"type": "string"}, "type": {"enum": [1]}}},
]  # fmt: skip


@pytest.mark.parametrize("schema", READABLE)
def test_what_an_engine_can_read_stays_as_it_is(schema: Any) -> None:
    assert schemas.readable(schema) == (schema, True)


@pytest.mark.parametrize(
    ("schema", "kept"),
    [
        (5, {}), (None, {}), ([], {}), (False, {}),
        ({"type": "objekt", "title": "x"}, {"title": "x"}),
        ({"type": []}, {}), ({"type": 5}, {}), ({"type": ["string", "file"]}, {}),
        ({"properties": 5}, {}), ({"properties": {"a": None}}, {"properties": {"a": {}}}),
        ({"items": 5}, {}), ({"prefixItems": 5}, {}), ({"items": [5]}, {"items": [{}]}),
        ({"anyOf": []}, {}), ({"oneOf": 5}, {}), ({"allOf": [{"type": "any"}]}, {"allOf": [{}]}),
        ({"enum": []}, {}), ({"enum": None}, {}), ({"format": 5}, {}),
        ({"minLength": -1}, {}), ({"minLength": 5000}, {}), ({"minItems": 1.5}, {}), ({"maxItems": None}, {}),
        ({"maxLength": True}, {}), ({"minLength": 5, "maxLength": 2}, {"maxLength": 2}),
        ({"minimum": "x"}, {}), ({"exclusiveMinimum": True}, {}), ({"maximum": 2**63}, {}),
        ({"additionalProperties": 5}, {}), ({"additionalProperties": {"type": "any"}}, {"additionalProperties": {}}),
        ({"$ref": 5}, {}), ({"$ref": "#"}, {}), ({"$ref": "https://a/b"}, {}), ({"$ref": "#/$defs/a"}, {}),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"enum": []}}}, {"$ref": "#/$defs/a", "$defs": {"a": {}}}),
    ],
)  # fmt: skip
def test_what_an_engine_can_not_read_is_left_out_and_told(schema: Any, kept: Any) -> None:
    assert schemas.readable(schema) == (kept, False)


def test_a_schema_that_allows_everything_is_an_empty_one() -> None:
    assert schemas.readable({"properties": {"a": True}, "items": True}) == (
        {"properties": {"a": {}}, "items": {}},
        True,
    )
